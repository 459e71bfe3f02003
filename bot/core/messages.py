"""Messages, people, answers and their timings: the values that platforms and the core exchange."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NewType

from knowledge.passages import PassageLocation
from models.engine import Usage

ConversationId = NewType("ConversationId", str)
"""`platform:place`, for example `discord:123`, `matrix:!room:server#$threadroot`, `console:local`."""

EVERYONE = "everyone"
"""The reader name that stands for every audience."""


@dataclass(frozen=True, slots=True)
class Person:
    """A message's author. `id` is unique within its platform; `name` is the display name."""

    id: str
    name: str
    is_admin: bool = False
    is_bot: bool = False


@dataclass(frozen=True, slots=True)
class Audience:
    """The readers of an answer, as reader names that collections may list.

    In a room these are names of the room (its members cannot be listed); only a private answer adds the person and
    their roles. `private`: exactly one person reads it.
    """

    names: frozenset[str]
    private: bool = False


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The adapter did not fetch a file because it is over its limit."""

    limit_bytes: int


@dataclass(frozen=True, slots=True)
class NotFetched:
    """The adapter could not fetch a file."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file sent with a message, already fetched by the adapter; `missing` says why it was not, and it has no data.

    `media_type` is the sender's word, and nothing else is read into it. Pictures may have a name and no data.
    """

    name: str
    media_type: str
    data: bytes = field(repr=False)
    missing: TooLarge | NotFetched | None = None

    @classmethod
    def too_large(cls, name: str, limit_bytes: int) -> "Attachment":
        """A file over the adapter's limit."""
        return cls(name, "", b"", TooLarge(limit_bytes))

    @classmethod
    def not_fetched(cls, name: str) -> "Attachment":
        """A file that the adapter could not fetch."""
        return cls(name, "", b"", NotFetched())


@dataclass(frozen=True, slots=True)
class ContextMessage:
    """A message before a question, read from the platform for this one answer and stored no longer than it takes.

    `person` is its author's id, by which it is forgotten; empty when that is not known, and for messages of bots, who
    may repeat anybody's words.
    """

    speaker: str
    text: str
    person: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Message:
    """A message from a person.

    `addressed`: it is meant for the bot (mention, reply, direct message, command of the platform).
    `sent_at`: seconds since the epoch by the platform's clock, never used to decide whether a message is new.
    `command`: the name of a native command of the platform (a slash command); `text` is then its argument.
    `context`: earlier messages of the reply chain or channel, oldest first.
    `platform_data`: strings with which the adapter finds the reply's position again after a restart.
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
    """A posted message of a reply: its number from 0, or -1 for the place in the queue, and its platform id."""

    number: int
    platform_id: str


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that supports an answer, numbered from 1 as in the text."""

    number: int
    collection: str
    document: str
    title: str
    place: PassageLocation
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds since the message's arrival, and the tokens of its answer; zeros if no model ran."""

    queued_s: float = 0.0
    retrieval_s: float = 0.0
    first_token_s: float = 0.0
    total_s: float = 0.0
    prompt_tokens: int = 0
    prefilled_tokens: int = 0
    reused_tokens: int = 0
    generated_tokens: int = 0
    tokens_per_s: float = 0.0

    def with_usage(self, usage: Usage | None) -> "Timings":
        """These timings with an answer's tokens; unchanged if no model ran."""
        if usage is None:
            return self
        return replace(
            self,
            prompt_tokens=usage.prompt_tokens,
            prefilled_tokens=usage.prefilled_tokens,
            reused_tokens=usage.reused_tokens,
            generated_tokens=usage.generated_tokens,
            tokens_per_s=usage.tokens_per_s,
        )


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """A finished answer. `text` is the whole answer; `note` is a sentence below it, or empty.

    `pictures` are shown where the platform supports them; the text says the same.
    """

    text: str
    sources: tuple[Source, ...] = ()
    note: str = ""
    timings: Timings = field(default_factory=Timings)
    pictures: tuple[Attachment, ...] = ()
