"""Questions from a terminal."""

import json

from adapters.console.jsonl import MessageLine, parse_line
from bot.cli.ask_stream import ChatQuestion


def test_whoever_sits_at_the_terminal_may_use_the_admins_commands() -> None:
    line = parse_line(json.dumps(ChatQuestion("local", "!stats").to_input_line()).encode())
    assert isinstance(line, MessageLine)
    assert line.admin
