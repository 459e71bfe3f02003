"""What crosses the boundary between platforms and the core, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType

from knowledge.passages import PassageLocation

ConversationId = NewType("ConversationId", str)
"""`platform:place`, for example `discord:123`, `matrix:!room:server#$threadroot`, `console:local`."""

EVERYONE = "everyone"
"""The reader that stands for any audience at all."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who wrote a message. `id` is unique within its platform; `name` is what people call them."""

    id: str
    name: str
    is_admin: bool = False
    is_bot: bool = False


@dataclass(frozen=True, slots=True)
class Audience:
    """Everybody who can read the answer, as reader names that collections may list.

    In a room the names are the room's own (its members cannot be listed); only in a private answer do they include
    the person and their roles. `private` says that exactly one person reads it.
    """

    names: frozenset[str]
    private: bool = False


TOO_LARGE = "application/vnd.hearth.too-large; limit="
"""How the media type begins of an attachment over the adapter's limit; the limit in bytes follows."""

NOT_FETCHED = "application/vnd.hearth.not-fetched"
"""The media type of an attachment that the platform has and the adapter could not fetch."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file sent with a message, already fetched by the adapter.

    Of pictures, of files over the limit (`TOO_LARGE`) and of those that did not come (`NOT_FETCHED`) there may be only
    the name, with no data.
    """

    name: str
    media_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ContextMessage:
    """What somebody said before a question, read from the platform for this one answer and never kept."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """Something a person wrote that the bot saw.

    `addressed`: it was meant for the bot (mention, reply, direct message, command of the platform).
    `sent_at`: seconds since the epoch by the platform's clock, never used to decide what is new.
    `command`: the name of a command that the platform itself knows (a slash command); `text` is then its argument.
    `context`: what was said before in a reply chain or channel, oldest first.
    `platform_data`: what the adapter needs to find the place of its reply again after a restart; strings only.
    """

    conversation: ConversationId
    event_id: str
    author: Person
    text: str
    addressed: bool
    audience: Audience
    sent_at: float
    attachments: tuple[Attachment, ...] = ()
    command: str = ""
    context: tuple[ContextMessage, ...] = ()
    platform_data: Mapping[str, str] = field(default_factory=dict)

    @property
    def platform(self) -> str:
        """The platform's name: the conversation's part before the first colon."""
        return self.conversation.partition(":")[0]


@dataclass(frozen=True, slots=True)
class PostedPart:
    """A message the bot has posted as part of a reply: its number from 0 and the platform's id for it."""

    number: int
    platform_id: str


@dataclass(frozen=True, slots=True)
class Source:
    """A passage an answer rests on, numbered from 1 as in the text."""

    number: int
    collection: str
    document: str
    title: str
    place: PassageLocation
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds from the message's arrival, and the tokens of its answer; zeros where no model ran."""

    queued_s: float = 0.0
    retrieval_s: float = 0.0
    first_token_s: float = 0.0
    total_s: float = 0.0
    prompt_tokens: int = 0
    prefilled_tokens: int = 0
    reused_tokens: int = 0
    generated_tokens: int = 0
    tokens_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """What goes under a finished answer. `text` is the whole answer; `note` is a sentence below it, or empty.

    `pictures` are shown with it where the platform can; a text says the same.
    """

    text: str
    sources: tuple[Source, ...] = ()
    note: str = ""
    timings: Timings = field(default_factory=Timings)
    pictures: tuple[Attachment, ...] = ()
