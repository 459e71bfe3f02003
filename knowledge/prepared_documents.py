"""Prepares documents for the index: hashes that tell what changed, and stems for full-text search."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import xxhash

from knowledge.embedding import text_to_embed
from knowledge.lexical import STEMMING_VERSION, WordStemmer
from knowledge.reader import PassageDraft, ReadDocument


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A document ready to be stored. `drafts` holds each draft with the hash of its text to embed and its stems."""

    document: ReadDocument
    hash: str
    drafts: tuple[tuple[PassageDraft, bytes, str], ...]
    title_stems: str
    heading_stems: tuple[str, ...]


def prepare_documents(documents: Sequence[ReadDocument], stemmer: WordStemmer) -> Iterator[PreparedDocument]:
    """Stem and hash documents; runs on the thread that owns the stemmer."""
    for document in documents:
        drafts = tuple(
            (
                draft,
                xxhash.xxh3_128_digest(text_to_embed(document.title, draft.place.heading, draft.text).encode()),
                stemmer.stem_text(draft.text, document.language),
            )
            for draft in document.drafts
        )
        yield PreparedDocument(
            document,
            _document_hash(document),
            drafts,
            stemmer.stem_text(document.title, document.language),
            tuple(stemmer.stem_text(" ".join(draft.place.heading), document.language) for draft in document.drafts),
        )


def _document_hash(document: ReadDocument) -> str:
    digest = xxhash.xxh3_128(repr((STEMMING_VERSION, document.title, document.language)).encode())
    for draft in document.drafts:
        digest.update(repr((draft.place, draft.text)).encode())
    return digest.hexdigest()
