import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knowledge.chunking import split_text
from knowledge.reader import PassageDraft

LIMIT = 300
SENTENCE = "The backup drive is on shelf B3, next to the router. "


def cut(text: str, limit: int = LIMIT) -> list[PassageDraft]:
    return split_text(text, markdown=True, max_characters=limit)


words = st.text(st.sampled_from("abcé  \n\n.,*_`>-|#[]():🐈汉\u0301"), max_size=120)
headings = st.builds(
    lambda level, text: f"\n{'#' * level} {text}\n", st.integers(1, 6), st.text("abc é`*", max_size=40)
)
markdown_texts = st.lists(st.one_of(words, headings, st.just(SENTENCE), st.just("\n\n"))).map("".join)


@example(text="#####\n\n" + SENTENCE, markdown=True, limit=50)
@given(text=st.one_of(markdown_texts, st.text(max_size=2000)), markdown=st.booleans(), limit=st.integers(50, 400))
def test_spans_are_right_in_order_within_the_limit_and_lose_white_space_only(
    text: str, markdown: bool, limit: int
) -> None:
    text = text.replace("\r", "\n").replace("\0", "")
    end = 0
    for draft in split_text(text, markdown=markdown, max_characters=limit):
        place = draft.place
        assert text[end : place.start].strip() == ""
        assert draft.text == text[place.start : place.end]
        assert draft.text == draft.text.strip() != ""
        assert len(draft.text) <= limit
        end = place.end
    assert text[end:].strip() == ""


def test_each_passage_carries_the_path_of_its_headings() -> None:
    long = SENTENCE * 5
    text = f"# House\n\n{long}\n\n## Cellar\n\n{long}\n\n### Shelf\n\n{long}\n\n## Attic\n\n{long}"
    assert [draft.place.heading for draft in cut(text)] == [
        ("House",),
        ("House", "Cellar"),
        ("House", "Cellar", "Shelf"),
        ("House", "Attic"),
    ]


def test_a_long_section_is_cut_and_each_part_keeps_the_path() -> None:
    drafts = cut("# House\n\n## Cellar\n\n" + SENTENCE * 20)
    assert len(drafts) > 3
    assert {draft.place.heading for draft in drafts} == {("House", "Cellar")}
    assert drafts[0].text.startswith("# House\n\n## Cellar\n\nThe backup drive")


def test_small_sections_are_joined_under_the_path_they_share() -> None:
    (draft,) = cut("# Ports\n\n## Router\n\n8080\n\n## Music\n\n8096\n\n## Photos\n\n2283")
    assert draft.place.heading == ("Ports",)
    assert "8080" in draft.text
    assert "2283" in draft.text


def test_sections_that_say_enough_stand_alone() -> None:
    enough = SENTENCE * 2
    drafts = cut(f"# House\n\n## Cellar\n\n{enough}\n\n## Attic\n\n{enough}")
    assert [draft.place.heading for draft in drafts] == [("House", "Cellar"), ("House", "Attic")]


def test_a_small_last_section_joins_the_one_before() -> None:
    drafts = cut(f"# House\n\n## Cellar\n\n{SENTENCE * 2}\n\n## Attic\n\nempty")
    assert [draft.place.heading for draft in drafts] == [("House",)]


@pytest.mark.parametrize("body", [SENTENCE, SENTENCE * 20])
def test_a_heading_never_stands_alone_before_text(body: str) -> None:
    drafts = cut(f"# One\n\n## Two\n\n### Three\n\n{body}\n\n# Four\n\n{body}")
    assert all(re.search(r"^[^#\n]", draft.text, re.MULTILINE) for draft in drafts)


def test_a_last_heading_without_text_stays_with_what_precedes() -> None:
    (draft,) = cut(f"# One\n\n{SENTENCE}\n\n# Empty")
    assert draft.text.endswith("# Empty")


def test_headings_in_code_are_text() -> None:
    (draft,) = cut("# Real\n\n```sh\n# not a heading\nls\n```\n")
    assert draft.place.heading == ("Real",)


def test_a_passage_has_the_page_it_begins_on() -> None:
    pages = [SENTENCE * 4, SENTENCE * 4, "Short page.", SENTENCE * 4]
    text = "\n\n".join(pages)
    starts = [sum(len(page) + 2 for page in pages[:number]) for number in range(4)]
    drafts = split_text(text, markdown=False, max_characters=LIMIT, pages=starts)
    for draft in drafts:
        page = draft.place.page
        assert page is not None
        assert starts[page - 1] <= draft.place.start
        assert page == 4 or draft.place.start < starts[page]
    assert {draft.place.page for draft in drafts} >= {1, 2, 4}


@pytest.mark.parametrize("markdown", [True, False])
def test_an_endless_line_is_cut_into_passages_of_the_limit(markdown: bool) -> None:
    drafts = split_text("a" * 200_000, markdown=markdown, max_characters=1000)
    assert [len(draft.text) for draft in drafts] == [1000] * 200


def test_a_heading_longer_than_a_passage_is_cut_like_text() -> None:
    drafts = cut("# " + "very " * 200 + "long\n\nbody")
    assert all(len(draft.text) <= LIMIT for draft in drafts)
    assert all(len(draft.place.heading[0]) <= 200 for draft in drafts)
