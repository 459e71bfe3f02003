"""The small port between a reply and the place in a room that it is written to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.core.messages import Attachment


@dataclass(frozen=True, slots=True)
class ReplyPart:
    """A message as it should be: Markdown, and plain lines below it, which may be `small`.

    `notice`: it is no answer, and nobody is to answer it. `first`: it is the first message of the reply.
    """

    text: str
    below: str = ""
    small: bool = False
    notice: bool = False
    first: bool = False


class ReplyTransport(Protocol):
    """Where one answer is written. All methods that send raise ReplyFailed when the homeserver refuses for good, else
    Unsettled, of which Limited is one.
    """

    def start_typing(self) -> None:
        """Show that the question was read and an answer is being made; again after `stop_typing`."""
        ...

    def stop_typing(self) -> None:
        """Show no longer that an answer is being made."""
        ...

    async def send(self, part: ReplyPart, tx_id: str) -> str:
        """Post a message; its id. The same `tx_id` again gives the one that is there already."""
        ...

    async def edit_message(self, event_id: str, part: ReplyPart, tx_id: str) -> None:
        """Change a message of ours."""
        ...

    async def redact_message(self, event_id: str, tx_id: str) -> None:
        """Take a message of ours back."""
        ...

    async def send_picture(self, picture: Attachment, tx_id: str) -> None:
        """Post a picture, once for each `tx_id`."""
        ...

    async def fetch_posted(self) -> Sequence[str]:
        """The ids of what is posted already in answer to the question, oldest first, without pictures."""
        ...
