"""A conversation in a terminal: prompt, streamed answers, and Ctrl-C, which stops an answer and not the program."""

import asyncio
import sys
import termios
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from rich.console import Console
from rich.text import Text

from adapters.json_lines.stdio import StdioChannel
from bot.cli.ask_stream import ChatQuestion, ask_and_show
from bot.cli.daemon_client import DaemonEvent, DaemonRequest
from bot.cli.stop_signals import interrupts_handled_by
from bot.cli.terminal.output import make_console

QUIT_COMMANDS = ("/quit", "/exit", "/bye")
NEW_COMMAND = "/new"
COMPLETED = ("/ask", "/forget", "/help", NEW_COMMAND, "/quit", "/reindex", "/sources", "/stats", "/stop")
"""The commands that the Tab key completes: those of every conversation, and the terminal's own."""
LINE_BYTES = 1_000_000
GREETING = "Ask away. /help lists the commands, /new begins a new conversation, Ctrl-C stops an answer, Ctrl-D leaves."


class Terminal:
    """Conversations over one connection, one after the other. Lines are sent as they are: the core knows `/` too."""

    def __init__(self, exchange: DaemonRequest, conversation: str) -> None:
        self._exchange = exchange
        self._conversation = conversation
        self._console: Console = make_console()
        self._events: AsyncIterator[DaemonEvent] = exchange.read_events()
        self._answering: asyncio.Task[bool] | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Answer lines until the person leaves. Raises CliError when Hearth has ended."""
        with interrupts_handled_by(self._on_interrupt):
            async for line in self._lines():
                if line in QUIT_COMMANDS:
                    return
                if line == NEW_COMMAND:
                    self._begin_conversation()
                elif line and not await self._answer_line(line):
                    return

    def _lines(self) -> AsyncIterator[str]:
        if sys.stdin.isatty() and sys.stdout.isatty():
            self._console.print(Text(GREETING, style="dim"))
            return typed_lines()
        return piped_lines()

    async def _answer_line(self, line: str) -> bool:
        """Show the answer to a line; False when it was interrupted twice, which means to leave."""
        question = ChatQuestion(self._conversation, line)
        self._answering = asyncio.create_task(ask_and_show(question, self._exchange, self._events, self._console))
        with without_echo():
            await asyncio.wait({self._answering})
        answering, self._answering, self._stopping = self._answering, None, None
        if answering.cancelled():
            return False
        answering.result()
        return True

    def _begin_conversation(self) -> None:
        before, self._conversation = self._conversation, time.strftime("%Y-%m-%d-%H%M%S")
        sentence = f"A new conversation. `hearth chat --conversation {before}` goes on with the one before."
        self._console.print(Text(sentence, style="dim"))

    def _on_interrupt(self) -> None:
        """The first Ctrl-C asks the core to stop the answer; the second does not wait for that."""
        if self._answering is None:
            return
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._exchange.send(stop=self._conversation))
        else:
            self._answering.cancel()


@contextmanager
def without_echo() -> Iterator[None]:
    """Keep what is typed ahead out of the text on the terminal; the prompt shows it. Ctrl-C works on."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


async def typed_lines() -> AsyncIterator[str]:
    """Lines typed at the prompt, until Ctrl-D or a second Ctrl-C in a row."""
    session: PromptSession[str] = PromptSession(
        "> ", enable_suspend=True, completer=WordCompleter(COMPLETED, sentence=True), complete_while_typing=False
    )
    interrupted = False
    while True:
        try:
            line = await session.prompt_async(handle_sigint=False)
        except EOFError:
            return
        except KeyboardInterrupt:
            if interrupted:
                return
            interrupted = True
            make_console().print(Text("Ctrl-C again or Ctrl-D leaves.", style="dim"))
            continue
        interrupted = False
        yield line.strip()


async def piped_lines() -> AsyncIterator[str]:
    """Lines of standard input when it is no terminal."""
    channel = StdioChannel(sys.stdin.fileno(), sys.stdout.fileno(), LINE_BYTES)
    try:
        async for line in channel.read_lines():
            yield (line or b"").decode("utf-8", errors="replace").strip()
    finally:
        await channel.close()
