"""Showing an answer while it comes, on a terminal and elsewhere."""

import io
import re

from rich.console import Console

from bot.cli.terminal.answer_view import LiveView, PlainView, format_sources, format_timings, view_for
from bot.cli.terminal.markdown import keep_line_breaks, settled_length
from bot.cli.terminal.output import format_place, format_size, printable

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain_console() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, markup=False, highlight=False, soft_wrap=True, width=80), out


def terminal(height: int = 20) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=True, width=60, height=height, color_system=None, markup=False), out


def grow(view: PlainView | LiveView, text: str, step: int = 7) -> None:
    for end in range(step, len(text) + step, step):
        view.show_text(text[:end])
    view.close()


def test_plain_text_is_printed_once_however_it_comes() -> None:
    console, out = plain_console()
    text = "A long line of [bold]plain[/bold] text: " + "word " * 60 + "\n\n- one\n- two"
    view = PlainView(console)
    view.show_status("Waiting …")
    grow(view, text)
    assert out.getvalue() == text + "\n"


def test_a_text_that_starts_over_is_printed_anew() -> None:
    console, out = plain_console()
    view = PlainView(console)
    view.show_text("10 of 50")
    view.show_text("Added 50.")
    view.close()
    assert out.getvalue() == "10 of 50\nAdded 50.\n"


def test_control_characters_never_reach_the_terminal() -> None:
    for console, out in (plain_console(), terminal()):
        view = PlainView(console) if not console.is_terminal else LiveView(console)
        grow(view, "before \x1b]0;title\x07\x1b[2J\x9b31m after\x00")
        shown = ESCAPES.sub("", out.getvalue())
        assert "\x07" not in shown
        assert "\x1b]0" not in out.getvalue()
        assert "\x9b" not in out.getvalue()


def test_every_block_of_a_long_answer_is_printed_exactly_once() -> None:
    console, out = terminal(height=10)
    blocks = [f"Paragraph {number:03} has something to say." for number in range(60)]
    view = LiveView(console)
    view.show_status("Reading …")
    grow(view, "\n\n".join(blocks), step=29)
    lines = out.getvalue()
    # What is only drawn is taken back by moving the cursor up; what stays ends with the blank line of its block.
    for block in blocks:
        assert block in lines
    drawn_rows = max((len(match) for match in re.findall(r"(?:\x1b\[1A\x1b\[2K)+", lines)), default=0)
    assert drawn_rows <= 10 * len("\x1b[1A\x1b[2K")


def test_a_block_taller_than_the_terminal_is_drawn_by_its_last_lines() -> None:
    console, out = terminal(height=10)
    view = LiveView(console)
    grow(view, "\n".join(f"- item {number}" for number in range(100)), step=13)
    rows = [match.count("\x1b[1A") for match in re.findall(r"(?:\x1b\[1A\x1b\[2K)+", out.getvalue())]
    assert max(rows, default=0) <= 10
    assert "item 99" in out.getvalue()


def test_an_answer_that_starts_over_says_so() -> None:
    console, out = terminal()
    view = LiveView(console)
    view.show_text("One paragraph.\n\nAnother")
    view.show_text("Something else entirely.")
    view.close()
    assert "starts over" in out.getvalue()
    assert "Something else entirely." in out.getvalue()


def test_a_dumb_terminal_and_a_file_get_plain_text() -> None:
    assert isinstance(view_for(plain_console()[0]), PlainView)
    dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(view_for(dumb), PlainView)


def test_text_is_settled_up_to_the_last_blank_line_outside_a_fence() -> None:
    for text, whole in [
        ("", ""),
        ("one", ""),
        ("one\n", ""),
        ("one\n\n", "one\n\n"),
        ("one\n\ntwo", "one\n\n"),
        ("one\n\n```\na\n\nb", "one\n\n"),
        ("```\na\n\nb\n```\n\nend", "```\na\n\nb\n```\n\n"),
        ("```\n~~~\n\n```", ""),
        ("~~~ py\nx\n\n~~~\n\n", "~~~ py\nx\n\n~~~\n\n"),
        ("one\n ", ""),
    ]:
        assert text[: settled_length(text)] == whole, text


def test_what_is_settled_stays_so_while_the_text_grows() -> None:
    text = "# Title\n\nText\n\n```py\nx = 1\n\ny = 2\n```\n\n1. a\n\n2. b\n\nEnd"
    ends = [settled_length(text[:end]) for end in range(len(text) + 1)]
    assert ends == sorted(ends)


def test_line_ends_are_kept_outside_code_and_code_is_left_alone() -> None:
    text = "one\ntwo\n\n```\na\nb\n```\nend"
    assert keep_line_breaks(text) == "one  \ntwo  \n\n```\na\nb\n```\nend"
    console, out = terminal()
    grow(LiveView(console), "Commands:\n!ask: ask\n!help: help")
    shown = [line.rstrip() for line in ESCAPES.sub("", out.getvalue()).splitlines()]
    assert shown[-3:] == ["Commands:", "!ask: ask", "!help: help"]


def test_sources_are_a_numbered_list_with_their_places() -> None:
    where = {"heading": ["Backup", "Drives"], "page": 3, "row": None, "start": 0, "end": 9}
    source = {"number": 2, "collection": "handbook", "document": "a/b.pdf", "place": where}
    assert format_sources([source]).plain == "  [2] handbook: a/b.pdf › Backup › Drives › page 3\n"
    assert format_place({"document": "x.csv", "place": {"heading": [], "page": None, "row": 7}}) == "x.csv › row 7"


def test_timings_are_told_only_when_a_model_ran() -> None:
    timings = {"first_token_s": 0.52, "total_s": 3, "tokens_per_s": 41.2, "prompt_tokens": 900, "reused_tokens": 700}
    assert format_timings({**timings, "generated_tokens": 0}) == ""
    told = format_timings({**timings, "generated_tokens": 9})
    assert told == "0.5 s to the first word, 3.0 s in all, 41 tokens/s; prompt 900 tokens, 700 of them reused"


def test_printable_keeps_lines_tabs_and_every_letter() -> None:
    assert printable("l'été\t→\n🏠\r\x1b[0m\x85") == "l'été\t→\n🏠[0m"


def test_sizes_are_told_in_the_unit_that_fits() -> None:
    assert [format_size(count) for count in (0, 999, 350_000, 98_400_000, 1_250_000_000)] == [
        "0 bytes",
        "999 bytes",
        "350 kB",
        "98.4 MB",
        "1.2 GB",
    ]
