"""Decides whether a message on Matrix is addressed to Hearth, and whether it may be answered there. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from adapters.intake.access_list import matches_any
from adapters.matrix.settings import MatrixSettings


class MatrixRejectReason(StrEnum):
    """Why a message is ignored."""

    OWN = "written by Hearth"
    NOT_A_MESSAGE = "a notice, or nothing that people write"
    BOT = "written by another bot"
    NOT_ADDRESSED = "not addressed to the assistant"
    BARE_FILE = "a file without a caption, which belongs to its sender's next question"
    ROOM = "its room is not allowed"
    DIRECT_MESSAGE = "direct messages are switched off"
    USER = "its author is not allowed"
    UNENCRYPTED = "sent without encryption in an encrypted room"
    MUTED = "Hearth may not write in its room"


@dataclass(frozen=True, slots=True)
class MatrixMessageFacts:
    """The facts about a message that decide whether it is answered.

    `is_user_message`: a kind of message that people write. `is_bare_file`: a file without a caption. `has_prefix`: it
    begins with the prefix of commands. `in_joined_thread`: it is in a thread that Hearth takes part in, and not meant
    for another person there. `is_unencrypted`: it came without encryption into an encrypted room, so that the
    homeserver may have written it. `is_muted`: Hearth's power level does not suffice for an answer.
    """

    sender: str
    room_id: str
    is_direct: bool = False
    is_own: bool = False
    is_user_message: bool = True
    is_bare_file: bool = False
    has_prefix: bool = False
    mentions_bot: bool = False
    replies_to_bot: bool = False
    in_joined_thread: bool = False
    is_unencrypted: bool = False
    is_muted: bool = False

    @property
    def is_addressed(self) -> bool:
        """Whether it is addressed to Hearth, commands aside."""
        return self.is_direct or self.mentions_bot or self.replies_to_bot or self.in_joined_thread


def why_ignored(facts: MatrixMessageFacts, settings: MatrixSettings) -> MatrixRejectReason | None:
    """Why a message is ignored; None when the core is to have it. Whether a word after the prefix is a command is for
    the core to decide.
    """
    if (reason := _kind_rejection(facts, settings)) is not None:
        return reason
    if not (facts.is_addressed or facts.has_prefix):
        return MatrixRejectReason.NOT_ADDRESSED
    if (reason := _room_rejection(facts, settings)) is not None:
        return reason
    if not settings.answers_user(facts.sender):
        return MatrixRejectReason.USER
    return MatrixRejectReason.BARE_FILE if facts.is_bare_file and not facts.mentions_bot else _state_rejection(facts)


def _kind_rejection(facts: MatrixMessageFacts, settings: MatrixSettings) -> MatrixRejectReason | None:
    if facts.is_own:
        return MatrixRejectReason.OWN
    if not facts.is_user_message:
        return MatrixRejectReason.NOT_A_MESSAGE
    return MatrixRejectReason.BOT if matches_any(facts.sender, settings.bots) else None


def _state_rejection(facts: MatrixMessageFacts) -> MatrixRejectReason | None:
    if facts.is_unencrypted:
        return MatrixRejectReason.UNENCRYPTED
    return MatrixRejectReason.MUTED if facts.is_muted else None


def _room_rejection(facts: MatrixMessageFacts, settings: MatrixSettings) -> MatrixRejectReason | None:
    if facts.is_direct and not settings.direct_messages:
        return MatrixRejectReason.DIRECT_MESSAGE
    return None if settings.allows_room(facts.room_id, facts.is_direct) else MatrixRejectReason.ROOM
