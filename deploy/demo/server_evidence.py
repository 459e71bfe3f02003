"""What the homeserver has kept of a chat, and whether anybody could read it there."""

import asyncio
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.chat import DemoChat
from deploy.demo.demo_instance import DemoFailed

MIN_LINE_CHARACTERS = 16
"""Shorter lines may stand in a file by chance."""
SHOWN_CHARACTERS = 72


@dataclass(frozen=True, slots=True)
class ServerEvidence:
    """`stored` messages and edits, `encrypted` of them encrypted; `plain_types` of the others. `readable`: those of the
    `lines` looked for that stand in the server's files. `warnings` of the person's client about Hearth's messages.
    """

    stored: int
    encrypted: int
    example: str
    plain_types: tuple[str, ...]
    lines: int
    readable: tuple[str, ...]
    warnings: tuple[str, ...]


async def collect_evidence(chat: DemoChat, folder: Path) -> ServerEvidence:
    """Look at what the server gives out and at its files in a folder. Raises DemoFailed when that cannot be done."""
    stored = [event for event in await chat.person.history(chat.room) if "state_key" not in event]
    encrypted = [event for event in stored if event["type"] == "m.room.encrypted"]
    lines = {line for line in _shown_lines(chat) if len(line) >= MIN_LINE_CHARACTERS}
    # What is surely there shows that looking finds it.
    found = await asyncio.to_thread(_lines_found_in, folder, {*lines, chat.room})
    if not encrypted or chat.room not in found:
        raise DemoFailed("The chat was not found in the server's files.")
    told = [event.get("decryption", {}) for event in chat.person.timeline.events(chat.room, sender=chat.hearth)]
    return ServerEvidence(
        stored=len(stored),
        encrypted=len(encrypted),
        example=encrypted[-1]["content"]["ciphertext"][:SHOWN_CHARACTERS],
        plain_types=tuple(sorted({event["type"] for event in stored} - {"m.room.encrypted"})),
        lines=len(lines),
        readable=tuple(line for line in found if line != chat.room),
        warnings=tuple(
            {decryption["shield_reason"] for decryption in told if decryption.get("shield", "none") != "none"}
        ),
    )


def _shown_lines(chat: DemoChat) -> Iterator[str]:
    for shown in chat.person.timeline.shown(chat.room):
        for body in shown.bodies:
            yield from body.splitlines()


def _lines_found_in(folder: Path, lines: Collection[str]) -> list[str]:
    """Those of the lines that stand in any file below a folder."""
    data = b"\0".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return [line for line in lines if line.encode() in data]
