"""A conversation in a terminal: prompt, streamed answers, and Ctrl-C, which stops an answer and not the program."""

import asyncio
import sys
from collections.abc import AsyncIterator

from prompt_toolkit import PromptSession
from rich.console import Console
from rich.text import Text

from adapters.json_lines.stdio import StdioChannel
from bot.cli.ask_stream import ChatQuestion, ask_and_show
from bot.cli.daemon_client import DaemonEvent, DaemonRequest
from bot.cli.stop_signals import interrupts_handled_by
from bot.cli.terminal.output import make_console

QUIT_COMMANDS = ("/quit", "/exit", "/bye")
LINE_BYTES = 1_000_000
GREETING = "Ask away. /help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves."


class Terminal:
    """One conversation over one connection. Commands may begin with `/` as well as with the config's own prefix."""

    def __init__(self, exchange: DaemonRequest, conversation: str, prefix: str) -> None:
        self._exchange = exchange
        self._conversation = conversation
        self._prefix = prefix
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
                if line and not await self._answer_line(line):
                    return

    def _lines(self) -> AsyncIterator[str]:
        if sys.stdin.isatty() and sys.stdout.isatty():
            self._console.print(Text(GREETING, style="dim"))
            return typed_lines()
        return piped_lines()

    async def _answer_line(self, line: str) -> bool:
        """Show the answer to a line; False when it was interrupted twice, which means to leave."""
        text = self._prefix + line[1:] if line.startswith("/") else line
        question = ChatQuestion(self._conversation, text)
        self._answering = asyncio.create_task(ask_and_show(question, self._exchange, self._events, self._console))
        await asyncio.wait({self._answering})
        answering, self._answering, self._stopping = self._answering, None, None
        if answering.cancelled():
            return False
        answering.result()
        return True

    def _on_interrupt(self) -> None:
        """The first Ctrl-C asks the core to stop the answer; the second does not wait for that."""
        if self._answering is None:
            return
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._exchange.send(stop=self._conversation))
        else:
            self._answering.cancel()


async def typed_lines() -> AsyncIterator[str]:
    """Lines typed at the prompt, until Ctrl-D or a second Ctrl-C in a row."""
    session: PromptSession[str] = PromptSession("> ", enable_suspend=True)
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
