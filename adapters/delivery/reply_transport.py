"""Ports between a live reply and its platform: the transport sends messages, the policy holds the platform's rules."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from adapters.delivery.rate_limit import SendPermit
from bot.core.messages import Attachment, Source

PartT = TypeVar("PartT")
PartT_contra = TypeVar("PartT_contra", contravariant=True)

RequestKind = Literal["send", "edit", "delete", "picture"]

Stage = Literal["queued", "writing", "finished", "failed", "discarded"]


@dataclass(frozen=True, slots=True)
class ReplyContent:
    """Everything that a reply says at one moment.

    `is_answer`: it answers a question, and is not the output of a command. `is_notice`: none of it is the model's own
    text. The note and the sources, or the sentence of a failure, are only there once it has ended. A discarded reply
    shows nothing at all.
    """

    text: str = ""
    stage: Stage = "writing"
    is_answer: bool = False
    is_notice: bool = True
    note: str = ""
    sources: Sequence[Source] = ()
    pictures: Sequence[Attachment] = ()

    @property
    def has_ended(self) -> bool:
        """Whether this is the last text."""
        return self.stage in ("finished", "failed", "discarded")

    @property
    def has_small_print(self) -> bool:
        """Whether the note and the sources are small lines below a text, and not the text themselves."""
        return self.stage == "finished" and bool(self.text.strip())


@dataclass(frozen=True, slots=True)
class ReplyPages(Generic[PartT]):
    """A reply laid out on messages. `pictures` are sent once after the others, and stay out of the journal."""

    messages: Sequence[PartT]
    pictures: Sequence[PartT] = ()


@dataclass(frozen=True, slots=True)
class NextRequest(Generic[PartT]):
    """The next request of a reply: its kind, the number of the message (from 0) and its new look; None: it goes."""

    kind: RequestKind
    number: int
    part: PartT | None = None


class ReplyTransport(Protocol[PartT_contra]):
    """The channel or room of one reply. Requests raise ReplyFailed when the platform refuses them for good, else
    TransientFailure.
    """

    async def prepare(self) -> None:
        """Make ready, for example open a thread for the reply; may be called again."""
        ...

    async def send(self, part: PartT_contra, request_id: str) -> str:
        """Post a message; its id. The same request id again gives the message that is there already."""
        ...

    async def edit_message(self, platform_id: str, part: PartT_contra, request_id: str) -> None:
        """Change a message of ours; an edit with a known id changes nothing."""
        ...

    async def delete_message(self, platform_id: str) -> None:
        """Delete a message of ours; one that is gone already is no error."""
        ...

    async def fetch_posted(self) -> Sequence[str]:
        """The ids of the messages that answer the question already, oldest first, without pictures."""
        ...

    def start_typing(self) -> None:
        """Show that the reply is being written, until `stop_typing`; may be called again."""
        ...

    def stop_typing(self) -> None:
        """Show no longer that the reply is being written."""
        ...


class ReplyPolicy(ABC, Generic[PartT]):
    """The platform's rules for one reply: layout, request ids, rate limits."""

    typing_ends_with_text = False

    sends_answer_anew = False
    """Whether an answer is a message of its own after a place in the queue, which is then deleted: clients notify of no
    edit, so the person who waited would not learn that the answer is there."""

    @abstractmethod
    def lay_out(self, content: ReplyContent) -> ReplyPages[PartT]:
        """The messages for a content."""

    @abstractmethod
    def request_id(self, event_id: str, request: NextRequest[PartT], revision: int) -> str:
        """The id that makes a repeated request the same one. `revision` grows with each new request of the reply."""

    @abstractmethod
    def permit_for(self, request: NextRequest[PartT]) -> SendPermit:
        """The rate limit of a request."""

    @abstractmethod
    def may_edit(self, platform_id: str, content: ReplyContent, edits: int) -> bool:
        """Whether a message may be changed before the reply has ended, after so many edits of the reply."""

    def track_request(self) -> AbstractContextManager[None]:
        """The context of the request that the last permit let through, to learn from its outcome."""
        return nullcontext()

    def open(self) -> None:
        """The reply begins."""

    def close(self) -> None:
        """The reply has ended; may be called again."""
