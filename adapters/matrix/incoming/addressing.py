"""Decides whether a message on Matrix is meant for Hearth, and whether it may be answered there. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from adapters.matrix.settings import MatrixSettings, matches_any


class MatrixRejectReason(StrEnum):
    """Why a message is left alone."""

    OWN = "written by ourselves"
    NOT_A_MESSAGE = "a notice, or nothing that people say"
    BOT = "written by another bot"
    BRIDGED = "a bridge's copy of what was written elsewhere"
    NOT_ADDRESSED = "not meant for the assistant"
    BARE_FILE = "a file without a word, which goes with its sender's next question"
    ROOM = "its room is not let in"
    DIRECT_MESSAGE = "direct messages are switched off"
    USER = "its author is not let in"


@dataclass(frozen=True, slots=True)
class MatrixMessageFacts:
    """What counts of a message.

    `is_user_message`: a kind of message that people write. `is_bare_file`: a file without a caption. `has_prefix`: it
    begins with the prefix of commands. `in_joined_thread`: it stands in a thread in which we take part.
    """

    sender: str
    room_id: str
    is_direct: bool = False
    is_own: bool = False
    is_user_message: bool = True
    is_bridged: bool = False
    is_bare_file: bool = False
    has_prefix: bool = False
    mentions_us: bool = False
    replies_to_us: bool = False
    in_joined_thread: bool = False

    @property
    def is_addressed(self) -> bool:
        """Whether it is meant for us, if it is no command."""
        return self.is_direct or self.mentions_us or self.replies_to_us or self.in_joined_thread


def why_ignored(seen: MatrixMessageFacts, settings: MatrixSettings) -> MatrixRejectReason | None:
    """Why a message is left alone; None when the core is to have it. Whether a word after the prefix is a command is
    for the core to know.
    """
    if (reason := _not_for_us(seen, settings)) is not None:
        return reason
    if not (seen.is_addressed or seen.has_prefix):
        return MatrixRejectReason.NOT_ADDRESSED
    if (reason := _place_rejection(seen, settings)) is not None:
        return reason
    if not settings.answers_user(seen.sender):
        return MatrixRejectReason.USER
    return MatrixRejectReason.BARE_FILE if seen.is_bare_file and not seen.mentions_us else None


def _not_for_us(seen: MatrixMessageFacts, settings: MatrixSettings) -> MatrixRejectReason | None:
    if seen.is_own:
        return MatrixRejectReason.OWN
    if not seen.is_user_message:
        return MatrixRejectReason.NOT_A_MESSAGE
    if matches_any(seen.sender, settings.bots):
        return MatrixRejectReason.BOT
    return MatrixRejectReason.BRIDGED if seen.is_bridged else None


def _place_rejection(seen: MatrixMessageFacts, settings: MatrixSettings) -> MatrixRejectReason | None:
    if seen.is_direct and not settings.direct_messages:
        return MatrixRejectReason.DIRECT_MESSAGE
    return None if settings.allows_room(seen.room_id, seen.is_direct) else MatrixRejectReason.ROOM
