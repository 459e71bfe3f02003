"""Views of one answer while it streams: Markdown rendered on a terminal, plain text elsewhere."""

from collections.abc import Mapping
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.spinner import Spinner
from rich.text import Text

from bot.cli.terminal.markdown import keep_line_breaks, settled_length
from bot.cli.terminal.output import format_place, printable

Event = Mapping[str, Any]


class AnswerView(Protocol):
    """Shows an answer: `show_status` until there is text, then `show_text` with the whole text so far, `close` in any
    case.
    """

    def show_status(self, sentence: str) -> None:
        """Show the reason for the wait."""
        ...

    def show_text(self, whole: str) -> None:
        """Show the text so far."""
        ...

    def close(self) -> None:
        """Leave the text, and remove the status."""
        ...


def view_for(console: Console) -> AnswerView:
    """The view for a console: live on a capable terminal, else plain."""
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else PlainView(console)


class NoView:
    """Shows nothing, for output that has only the final answer."""

    def show_status(self, sentence: str) -> None:
        """Nothing."""

    def show_text(self, whole: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class PlainView:
    """Prints text as it arrives. A text that does not continue the last one is printed again from its start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = ""

    def show_status(self, sentence: str) -> None:
        """Nothing: in a file or a pipe only the answer counts."""

    def show_text(self, whole: str) -> None:
        """Print the new part."""
        whole = printable(whole)
        continues = whole.startswith(self._shown)
        self._console.print(Text(whole[len(self._shown) :] if continues else f"\n{whole}"), end="", soft_wrap=True)
        self._shown = whole

    def close(self) -> None:
        """End the line."""
        if self._shown and not self._shown.endswith("\n"):
            self._console.print()


class LiveView:
    """Prints Markdown blocks once they are complete; the growing block is drawn below, cut to the terminal's height."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._whole = ""
        self._printed = 0
        self._live = Live(console=console, transient=True, refresh_per_second=12)
        self._live.start()

    def show_status(self, sentence: str) -> None:
        """Show a spinner with a sentence."""
        self._live.update(Spinner("dots", Text(printable(sentence), style="dim")))

    def show_text(self, whole: str) -> None:
        """Print the blocks that are complete, and draw the rest."""
        whole = printable(whole)
        if not whole.startswith(self._whole[: self._printed]):
            self._console.print(Text("(The answer starts over.)", style="dim"))
            self._printed = 0
        self._whole = whole
        self._print_up_to(settled_length(whole))
        self._live.update(self._last_lines(whole[self._printed :]))

    def close(self) -> None:
        """Print the rest."""
        self._live.update(Text(""))
        self._live.stop()
        self._print_up_to(len(self._whole))

    def _print_up_to(self, end: int) -> None:
        blocks = self._whole[self._printed : end].strip("\n")
        if blocks.strip():
            # Without hyperlinks the address itself is shown: a model's link must not hide where it leads.
            self._console.print(Markdown(keep_line_breaks(blocks), hyperlinks=False))
        self._printed = max(end, self._printed)

    def _last_lines(self, text: str) -> RenderableType:
        """The last lines of a text: a drawing taller than the terminal could not be erased."""
        height = max(3, self._console.height - 4)
        lines = Text(text).wrap(self._console, self._console.width)
        return Group(*lines[-height:])


def format_sources(sources: list[dict[str, Any]]) -> Text:
    """The sources as a compact numbered list."""
    text = Text()
    for source in sources:
        origin = f"{printable(source['collection'])}: " if source["collection"] else ""
        text.append(f"  [{source['number']}] ", style="cyan")
        text.append(f"{origin}{format_place(source)}\n")
    return text


def format_timings(timings: Mapping[str, Any]) -> str:
    """The timings of an answer in one line; empty when no model ran."""
    if not timings["generated_tokens"]:
        return ""
    return (
        f"{timings['first_token_s']:.1f} s to the first word, {timings['total_s']:.1f} s in all, "
        f"{timings['tokens_per_s']:.0f} tokens/s; prompt {timings['prompt_tokens']} tokens, "
        f"{timings['reused_tokens']} of them reused"
    )
