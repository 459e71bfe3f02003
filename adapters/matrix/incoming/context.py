"""Reads what goes with a question, for this one answer: what was said before it, and its files."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.matrix.event_content import NOTICE, relation_of, text
from adapters.matrix.events import Event
from adapters.matrix.homeserver import Wire
from adapters.matrix.incoming.attachments import caption_of, fetch, file_of, is_file, put_down
from adapters.matrix.incoming.display_names import Names
from adapters.matrix.incoming.pills import Us
from adapters.matrix.incoming.plain_text import plain, written
from adapters.matrix.incoming.room_history import Past
from adapters.matrix.settings import MatrixSettings
from bot.core.messages import Attachment, Said

log = logging.getLogger(__name__)

PUT_DOWN_AMONG = 12
"""Messages before a question among which its files are sought: people put files down, and then ask."""


@dataclass(frozen=True, slots=True)
class Enclosed:
    """What was read to go with a question."""

    context: tuple[Said, ...] = ()
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Around:
    """The messages around a question: those it replies to, the nearest first, and the last ones, oldest first."""

    above: Sequence[Event] = ()
    last: Sequence[Event] = ()


class Context:
    """Reads along with questions."""

    def __init__(self, wire: Wire, settings: MatrixSettings) -> None:
        self._wire = wire
        self._settings = settings
        self._past = Past(wire)

    async def enclosed(self, event: Event, us: Us, names: Names, is_direct: bool) -> Enclosed:
        """What goes with a question, as far as it can be read in time."""
        settings, deadline = self._settings, asyncio.get_running_loop().time() + self._settings.read_timeout_s
        # Files are put down for us only where everything is for us; elsewhere they belong to the room.
        theirs = is_direct or bool(relation_of(event.content).thread)
        recent = settings.recent_in(event.room_id)
        around = await self._around(event, max(recent, PUT_DOWN_AMONG if theirs else 0), deadline)
        files = files_with(event, around, settings.attachments, theirs)
        found = [file for each in files if (file := file_of(each.content)) is not None]
        above = around.above[: settings.reply_chain]
        return Enclosed(
            said(above, around.last[-recent:] if recent else (), us, names),
            await fetch(self._wire, found, settings.attachment_bytes, deadline),
        )

    async def _around(self, event: Event, last: int, deadline: float) -> Around:
        around = Around()
        try:
            async with asyncio.timeout_at(deadline):
                above = await self._past.above(event, max(self._settings.reply_chain, 1))
                around = Around(above)
                around = Around(above, await self._past.last(event, last))
        except TimeoutError:
            log.warning("What %s refers to could not be read in time.", event.event_id)
        return around


def files_with(event: Event, around: Around, count: int, theirs: bool) -> list[Event]:
    """The files that go with a question, the surest first: itself, then the message it replies to, or else what its
    author put down before it, if that is theirs to give.
    """
    files = [event] if is_file(event.content) else []
    if around.above and is_file(around.above[0].content):
        files.append(around.above[0])
    elif theirs:
        files += put_down(around.last, event.sender, count)
    return files[:count]


def said(above: Sequence[Event], last: Sequence[Event], us: Us, names: Names) -> tuple[Said, ...]:
    """What was said, nothing twice: the last messages oldest first, then the reply chain, oldest first. Our notices,
    which say how things stand, are not.
    """
    chain = list(above)[::-1]
    known = {event.event_id for event in chain}
    heard = [event for event in last if event.event_id not in known and not _is_status(event, us)]
    spoken = [
        Said(us.called if event.sender == us.user_id else names.of(event.sender), spoken_by(event, us, names))
        for event in (*heard, *chain)
    ]
    return tuple(each for each in spoken if each.text)


def spoken_by(event: Event, us: Us, names: Names) -> str:
    """A message's text for people; of a file what was said with it, or its name."""
    file = file_of(event.content)
    if file is None:
        return plain(event.content, written(event.content), us, names.known)
    caption = plain(event.content, caption_of(event.content), us, names.known)
    return caption or f"[{file.name}]"


def _is_status(event: Event, us: Us) -> bool:
    return event.sender == us.user_id and text(event.content, "msgtype") == NOTICE
