"""Access control: the collections from which an audience may be answered, and the audience of a waiting question."""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import cast

from bot.core.messages import EVERYONE, Audience, ConversationId, Message
from bot.core.ports import AudienceSource, Reply

MAX_CONVERSATIONS_REMEMBERED = 1000
"""Conversations whose newest audience is remembered: a bound on memory, more than a home has."""


def readable_collections(readers: Mapping[str, Collection[str]], audience: Audience) -> frozenset[str]:
    """Names of the collections whose readers include everyone or a name of the audience.

    `readers` maps each collection to its reader names. A collection without readers is never readable.
    """
    allowed = audience.names | {EVERYONE}
    return frozenset(name for name, names in readers.items() if allowed.intersection(names))


def narrow_audience(asked: Audience, now: Audience, *, same_reader: bool = True) -> Audience:
    """The audience of an answer that was asked for by one audience and is read by another.

    `same_reader`: if both are private, it is the same person who reads.
    """
    if asked == now and (same_reader or not asked.private):
        return asked
    return Audience(asked.names & now.names, private=asked.private and now.private and same_reader)


class KnownAudiences:
    """The newest audience of each conversation: people may come into a place while a question waits."""

    def __init__(self) -> None:
        self._newest: OrderedDict[ConversationId, tuple[Audience, str]] = OrderedDict()

    def record(self, message: Message) -> None:
        """Record the audience of a message that has just arrived."""
        self._newest[message.conversation] = (message.audience, message.author.id)
        self._newest.move_to_end(message.conversation)
        while len(self._newest) > MAX_CONVERSATIONS_REMEMBERED:
            self._newest.popitem(last=False)

    def current(self, message: Message, reply: Reply | None) -> Audience:
        """The audience of an answer now: that of the message, narrowed by newer knowledge of it."""
        audience = message.audience
        if (known := self._newest.get(message.conversation)) is not None:
            newest, author = known
            audience = narrow_audience(audience, newest, same_reader=author == message.author.id)
        # Asked for several times for each message; `isinstance` with a protocol takes 20 times as long.
        now = cast(AudienceSource, reply).current_audience() if hasattr(reply, "current_audience") else None
        return audience if now is None else narrow_audience(audience, now)
