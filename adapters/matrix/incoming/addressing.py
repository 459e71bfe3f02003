"""Decides whether a message on Matrix is meant for Hearth, and whether it may be answered there. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from adapters.matrix.settings import MatrixSettings, matches


class Unheard(StrEnum):
    """Why a message is left alone."""

    OURS = "written by ourselves"
    NOT_SAID = "a notice, or nothing that people say"
    MACHINE = "written by another bot"
    ECHO = "a bridge's copy of what was written elsewhere"
    NOT_ADDRESSED = "not meant for the assistant"
    FILE = "a file without a word, which goes with its sender's next question"
    ROOM = "its room is not let in"
    DIRECT = "direct messages are switched off"
    PERSON = "its author is not let in"


@dataclass(frozen=True, slots=True)
class Seen:
    """What counts of a message.

    `is_said`: a kind of message that people write. `is_bare_file`: a file without a caption. `begins_command`: it
    begins with the prefix of commands. `own_thread`: it stands in a thread in which we take part.
    """

    sender: str
    room_id: str
    is_direct: bool = False
    is_ours: bool = False
    is_said: bool = True
    is_echo: bool = False
    is_bare_file: bool = False
    begins_command: bool = False
    mentions_us: bool = False
    replies_to_us: bool = False
    own_thread: bool = False

    @property
    def addressed(self) -> bool:
        """Whether it is meant for us, if it is no command."""
        return self.is_direct or self.mentions_us or self.replies_to_us or self.own_thread


def judge(seen: Seen, settings: MatrixSettings) -> Unheard | None:
    """Why a message is left alone; None when the core is to have it. Whether a word after the prefix is a command is
    for the core to know.
    """
    if (reason := _not_for_us(seen, settings)) is not None:
        return reason
    if not (seen.addressed or seen.begins_command):
        return Unheard.NOT_ADDRESSED
    if (reason := _shut_place(seen, settings)) is not None:
        return reason
    if not settings.answers(seen.sender):
        return Unheard.PERSON
    return Unheard.FILE if seen.is_bare_file and not seen.mentions_us else None


def _not_for_us(seen: Seen, settings: MatrixSettings) -> Unheard | None:
    if seen.is_ours:
        return Unheard.OURS
    if not seen.is_said:
        return Unheard.NOT_SAID
    if matches(seen.sender, settings.bots):
        return Unheard.MACHINE
    return Unheard.ECHO if seen.is_echo else None


def _shut_place(seen: Seen, settings: MatrixSettings) -> Unheard | None:
    if seen.is_direct and not settings.direct_messages:
        return Unheard.DIRECT
    return None if settings.lets_in_room(seen.room_id, seen.is_direct) else Unheard.ROOM
