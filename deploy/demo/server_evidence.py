"""Evidence from the homeserver: which events of a chat it stores, and whether any text in its files is readable."""

import asyncio
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.chat import DemoChat
from deploy.demo.demo_instance import DemoFailed

MIN_LINE_CHARACTERS = 16
"""Shorter lines may occur in a file by coincidence."""
SHOWN_CHARACTERS = 72


@dataclass(frozen=True, slots=True)
class ServerEvidence:
    """Counts of `stored` messages and edits and of `encrypted` ones, and `plain_types`, the event types of the others.

    `readable` are those of the `lines` searched for that occur in the server's files. `warnings` are those of the
    person's client about Hearth's messages.
    """

    stored: int
    encrypted: int
    example: str
    plain_types: tuple[str, ...]
    lines: int
    readable: tuple[str, ...]
    warnings: tuple[str, ...]


async def collect_evidence(chat: DemoChat, folder: Path) -> ServerEvidence:
    """Examine the server's events and its files in a folder. Raises DemoFailed when the chat is not found there."""
    stored = [event for event in await chat.person.history(chat.room) if "state_key" not in event]
    encrypted = [event for event in stored if event["type"] == "m.room.encrypted"]
    lines = {line for line in _shown_lines(chat) if len(line) >= MIN_LINE_CHARACTERS}
    # The room id certainly occurs: finding it proves that the search works.
    found = await asyncio.to_thread(_lines_found_in, folder, {*lines, chat.room})
    if not encrypted or chat.room not in found:
        raise DemoFailed("The chat was not found in the server's files.")
    decryptions = [event.get("decryption", {}) for event in chat.person.timeline.events(chat.room, sender=chat.hearth)]
    return ServerEvidence(
        stored=len(stored),
        encrypted=len(encrypted),
        example=encrypted[-1]["content"]["ciphertext"][:SHOWN_CHARACTERS],
        plain_types=tuple(sorted({event["type"] for event in stored} - {"m.room.encrypted"})),
        lines=len(lines),
        readable=tuple(line for line in found if line != chat.room),
        warnings=tuple(
            {decryption["shield_reason"] for decryption in decryptions if decryption.get("shield", "none") != "none"}
        ),
    )


def _shown_lines(chat: DemoChat) -> Iterator[str]:
    for shown in chat.person.timeline.shown(chat.room):
        for body in shown.bodies:
            yield from body.splitlines()


def _lines_found_in(folder: Path, lines: Collection[str]) -> list[str]:
    """Those of the lines that occur in any file in a folder or its subfolders."""
    data = b"\0".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return [line for line in lines if line.encode() in data]
