"""The vocabulary: module names are made of the glossary's words, old names do not return, and its places exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GLOSSARY = ROOT / "docs" / "glossary.md"
REPLACED = Path(__file__).with_name("replaced_modules.txt")
ROOMS = ("bot", "adapters", "knowledge", "models")
PLAIN_WORDS, REPLACED_WORDS = "Plain words", "Replaced words"

STILL_USED = {
    "account": "both platforms have one",
    "background": "a plain word; alone it says too little",
    "bot": "the top folder",
    "chunking": "cutting documents into passages",
    "channel": "the console's, and Discord's own word",
    "documents": "the command that lists the documents of the index",
    "files": "files of any kind, as the reading process opens them",
    "conversation": "the conversation in a terminal",
    "events": "the console's output events, and Matrix's own word",
    "intake": "from a platform's event to the core's inbox",
    "keys": "the API keys of other programs",
    "library": "the interface of knowledge",
    "delivery": "delivery of a reply on any platform",
    "machine": "the Olm machine, nio's word",
    "reading": "the reading process",
    "requests": "requests to the endpoint, and to the inference thread",
    "server": "the daemon's surfaces",
    "sync": "Matrix's own word",
    "verification": "the folder of Matrix's verification",
}
"""Old names that are right elsewhere, each with its meaning there; the old paths stay refused."""


def words_of(text: str) -> set[str]:
    """The words of a text in lower case and in the singular."""
    return {singular(word) for word in re.findall(r"[a-z0-9]+", text.lower())}


def singular(word: str) -> str:
    """The singular of a regular noun."""
    return word.removesuffix("ies") + "y" if word.endswith("ies") else word.removesuffix("s")


def sections(text: str) -> dict[str, str]:
    """The sections of a page by their titles."""
    parts = re.split(r"(?m)^## (.+)\n", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def terms(text: str) -> dict[str, tuple[str, str]]:
    """The terms of the glossary: what each means, and where it lives."""
    found: dict[str, tuple[str, str]] = {}
    for title, section in sections(text).items():
        if title in (PLAIN_WORDS, REPLACED_WORDS):
            continue
        for line in section.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if line.startswith("|") and len(cells) == 3 and cells[0] != "Term" and not cells[0].startswith("---"):
                found[cells[0]] = (cells[1], cells[2])
    return found


def known_words(text: str) -> set[str]:
    """All words that module names may consist of."""
    return words_of(" ".join(terms(text))) | words_of(sections(text)[PLAIN_WORDS])


def unknown_words(module: str, known: set[str]) -> list[str]:
    """The words of a module's or folder's name that the glossary does not know."""
    return [word for word in module.split("_") if word and singular(word) not in known]


def modules() -> Iterator[Path]:
    """Every module and every package of the product, relative to the root."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            relative = path.relative_to(ROOT)
            yield relative.parent if path.stem == "__init__" else relative


def replaced_modules() -> list[str]:
    """The paths that were replaced."""
    lines = REPLACED.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


TEXT = GLOSSARY.read_text(encoding="utf-8")
KNOWN = known_words(TEXT)


def test_every_module_name_consists_of_words_of_the_glossary() -> None:
    unknown = {str(path): words for path in modules() if (words := unknown_words(path.stem.strip("_"), KNOWN))}
    assert unknown == {}, (
        "docs/glossary.md does not know these words. Use a term that is there, or add the field's own word with one"
        f" sentence and its place; an ordinary word goes to its section “{PLAIN_WORDS}”."
    )


def test_no_module_has_a_name_that_was_replaced() -> None:
    old = {Path(path).stem for path in replaced_modules()} - set(STILL_USED)
    back = [str(path) for path in modules() if path.stem in old]
    back += [path for path in replaced_modules() if (ROOT / path).is_file()]
    assert back == [], "These names were replaced; docs/glossary.md has the words that replaced them."


def test_every_term_has_one_sentence_and_its_place() -> None:
    assert len(terms(TEXT)) >= 60
    for term, (meaning, place) in terms(TEXT).items():
        assert re.fullmatch(r"\w[^.]*(?:\.\w[^.]*)*\.", meaning), f"{term}: one sentence, not {meaning!r}"
        assert re.findall(r"`([^`]+)`", place), f"{term}: the place in the tree is missing"


def test_every_place_of_the_glossary_exists() -> None:
    places = {place for _, cell in terms(TEXT).values() for place in re.findall(r"`([^`]+)`", cell)}
    assert sorted(place for place in places if not (ROOT / place).exists()) == []


def test_every_plain_word_is_listed_once() -> None:
    plain = re.findall(r"[a-z0-9]+", sections(TEXT)[PLAIN_WORDS].partition("\n\n")[2])
    assert sorted({word for word in plain if plain.count(word) > 1}) == []


@pytest.mark.parametrize("name", ["parked_states", "shelf", "showing", "guesser", "lanes"])
def test_a_private_word_in_a_module_name_is_found(name: str) -> None:
    assert unknown_words(name, KNOWN) != []


@pytest.mark.parametrize("name", ["prefix_cache", "live_reply", "platforms", "read_markers", "warmup"])
def test_terms_in_singular_and_plural_are_known(name: str) -> None:
    assert unknown_words(name, KNOWN) == []
