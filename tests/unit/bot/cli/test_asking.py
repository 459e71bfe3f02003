"""Questions from a terminal."""

import json

from adapters.console.jsonl import MessageLine, parse
from bot.cli.ask_stream import Asked


def test_whoever_sits_at_the_terminal_may_use_the_admins_commands() -> None:
    line = parse(json.dumps(Asked("local", "!stats").line()).encode())
    assert isinstance(line, MessageLine)
    assert line.admin
