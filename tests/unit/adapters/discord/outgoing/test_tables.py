"""Tables of an answer on Discord."""

import pytest

from adapters.discord.outgoing.markdown import to_discord_markdown
from adapters.discord.outgoing.tables import hold_back_rows, plain_tables

NARROW = (
    "Here:\n\n| Name | Place | n |\n|---|:--|--:|\n| **Boiler** | cellar | 3 |\n| 漢字 | `x` | 12 |\n\nThat is all."
)


def test_a_narrow_table_is_aligned_code() -> None:
    assert plain_tables(NARROW) == (
        "Here:\n\n"
        "```\nName    Place    n\n------  ------  --\nBoiler  cellar   3\n漢字    x       12\n```\n\n"
        "That is all."
    )


def test_a_wide_table_is_a_list_whose_links_can_be_clicked() -> None:
    link = "[the page](https://house.example/pages/boiler)"
    table = f"| Name | Place | Page |\n|---|---|---|\n| Boiler | cellar | {link} |\n| Oven | | none |\n"
    assert plain_tables(table) == (
        f"- Name: Boiler\n  - Place: cellar\n  - Page: {link}\n- Name: Oven\n  - Page: none\n"
    )


def test_a_table_too_wide_for_a_window_is_a_list() -> None:
    table = f"| Name | Words |\n|---|---|\n| Boiler | {'words ' * 15} |\n"
    assert plain_tables(table) == f"- Name: Boiler\n  - Words: {('words ' * 15).strip()}\n"


def test_breaks_within_a_cell_are_spaces_and_other_signs_stay() -> None:
    shown = plain_tables("| a | b |\n|---|---|\n| one<br>two | x <y> z |\n")
    assert shown == "```\na        b\n-------  -------\none two  x <y> z\n```\n"


def test_a_table_in_a_quote_stays_quoted() -> None:
    shown = plain_tables("> | a | b |\n> |---|---|\n> | 1 | 2 |\n")
    assert shown == "> ```\n> a  b\n> -  -\n> 1  2\n> ```\n"


def test_a_table_whose_rows_have_more_cells_than_its_header_stays_as_it_is() -> None:
    text = "| a | b |\n|---|---|\n| 1 | 2 | and more |\n"
    assert plain_tables(text) == text


@pytest.mark.parametrize("text", ["a | b", "- one\n- two\n---\n", "Either a || b.", "| a | b |\nno delimiter"])
def test_what_is_no_table_stays_as_it_is(text: str) -> None:
    assert plain_tables(text) == text


def test_a_table_within_code_stays_as_it_is() -> None:
    text = "```md\n| a | b |\n|---|---|\n| 1 | 2 |\n```\n"
    assert to_discord_markdown(text) == text


def test_a_growing_table_shows_its_whole_rows() -> None:
    shown = [hold_back_rows(NARROW[:end]) for end in range(len(NARROW))]
    for text in shown:
        rows = [line for line in text.split("\n") if line.startswith("|")]
        assert all(row.endswith("|") and row.count("|") == 4 for row in rows)
        assert len(rows) != 1
    assert any("Boiler" in text and "漢字" not in text for text in shown)
    assert shown[-1] == NARROW[:-1]


def test_each_moment_of_a_growing_table_is_words_or_aligned_code() -> None:
    for end in range(len(NARROW)):
        shown = to_discord_markdown(NARROW[:end], ended=False)
        assert "|" not in shown
        assert shown.count("```") in (0, 2)
