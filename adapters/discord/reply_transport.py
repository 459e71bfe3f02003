"""The small port between a reply and the place on Discord that it is written to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from adapters.delivery.rate_limit import RateLimit
from bot.core.messages import Attachment

ButtonSet = Literal["none", "running", "ended"]
"""What is under a message: nothing, what goes with an answer in the making, or what goes with a finished one."""

RequestKind = Literal["send", "edit", "delete"]


@dataclass(frozen=True, slots=True)
class PostedMessage:
    """A message of ours as the platform has it."""

    platform_id: str
    text: str


@dataclass(frozen=True, slots=True)
class DiscordPart:
    """A message as it should be."""

    text: str
    buttons: ButtonSet = "none"
    pictures: tuple[Attachment, ...] = ()


class TransientFailure(Exception):
    """The platform did not take a request this time (5xx, a lost connection, a rate limit); it may take it later."""


class ReplyTransport(Protocol):
    """Where one answer is written. All methods raise ReplyFailed when the place refuses for good, else Unsettled."""

    async def ensure_thread(self) -> None:
        """Make the place ready, for example open the thread of the answer; may be called again."""
        ...

    async def send(self, part: DiscordPart, nonce: str) -> PostedMessage:
        """Post a message; the same nonce again gives the message that is there already."""
        ...

    async def edit_message(self, platform_id: str, part: DiscordPart) -> None:
        """Change a message of ours."""
        ...

    async def delete_message(self, platform_id: str) -> None:
        """Delete a message of ours; one that is gone already is no error."""
        ...

    async def send_typing(self) -> None:
        """Show for some seconds that an answer is being written."""
        ...

    async def fetch_posted(self) -> Sequence[PostedMessage]:
        """What is posted already in answer to the question, oldest first."""
        ...

    def limit_for(self, kind: RequestKind) -> RateLimit:
        """The pace that such requests go at here; one that is shared with all other answers in the place."""
        ...
