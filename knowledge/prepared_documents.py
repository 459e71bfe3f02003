"""Prepares documents for the index: hashes that tell what changed, and stems for full-text search."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import xxhash

from knowledge.embedding import text_to_embed
from knowledge.lexical import STEMMING_VERSION, WordStemmer
from knowledge.reader import ReadDocument

_ROW = re.compile(r"#row-\d+$")


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A document ready to be stored. `text_hashes`, `texts`, `headings` and `codes` hold, for each of its drafts, the
    hash of its text to embed, its stems, those of its headings, and its codes; `title` and `path` are stems too.
    """

    document: ReadDocument
    hash: str
    text_hashes: tuple[bytes, ...]
    title: str
    headings: tuple[str, ...]
    texts: tuple[str, ...]
    path: str
    codes: tuple[str, ...]

    def words(self, number: int) -> tuple[str, str, str]:
        """The stems of a draft's title, headings and text."""
        return self.title, self.headings[number], self.texts[number]

    def names(self, number: int) -> tuple[str, str]:
        """The stems of a draft's path, and its codes."""
        return self.path, self.codes[number]


def prepare_documents(documents: Sequence[ReadDocument], stemmer: WordStemmer) -> Iterator[PreparedDocument]:
    """Stem and hash documents; runs on the thread that owns the stemmer."""
    for document in documents:
        language, drafts = document.language, document.drafts
        title = stemmer.stem_text(document.title, language)
        path = _ROW.sub("", document.document)  # a row's number is no word
        frame = f"{path}\n{document.title}"
        yield PreparedDocument(
            document,
            _document_hash(document),
            tuple(_text_hash(document, number) for number in range(len(drafts))),
            title,
            tuple(stemmer.stem_text(" ".join(draft.place.heading), language) for draft in drafts),
            tuple(stemmer.stem_text(draft.text, language) for draft in drafts),
            _path_stems(PurePosixPath(path), title, language, stemmer),
            tuple(
                stemmer.stem_codes("\n".join((frame, *draft.place.heading, draft.text)), language) for draft in drafts
            ),
        )


def _path_stems(path: PurePosixPath, title: str, language: str, stemmer: WordStemmer) -> str:
    """The stems of a path, without those of a file's name that only repeats the title."""
    name = stemmer.stem_text(path.stem, language)
    if set(name.split()) <= set(title.split()):
        return stemmer.stem_text(f"{path.parent} {path.suffix}", language)
    return stemmer.stem_text(str(path), language)


def _text_hash(document: ReadDocument, number: int) -> bytes:
    draft = document.drafts[number]
    return xxhash.xxh3_128_digest(text_to_embed(document.title, draft.place.heading, draft.text).encode())


def _document_hash(document: ReadDocument) -> str:
    digest = xxhash.xxh3_128(repr((STEMMING_VERSION, document.title, document.language)).encode())
    for draft in document.drafts:
        digest.update(repr((draft.place, draft.text)).encode())
    return digest.hexdigest()
