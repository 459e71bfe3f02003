"""Epochs of conversations: what was read from the history before an erasure is outdated after it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from bot.core.messages import ConversationId, Message


class Epochs:
    """Counts the erasures that may have reached a prompt of each conversation, in this process.

    Read the epoch before the turns: a prompt whose epoch is no longer the current one may hold erased text, so it must
    not be given to the engine, and neither its answer nor its state may be kept.
    """

    def __init__(self) -> None:
        self._counts: Counter[ConversationId] = Counter()
        self._without_context: set[tuple[str, str]] = set()

    def current(self, conversation: ConversationId) -> int:
        """The epoch of a conversation, from 0."""
        return self._counts[conversation]

    def advance(self, conversations: Iterable[ConversationId]) -> None:
        """Begin a new epoch in conversations; called in the transaction that erases."""
        self._counts.update(set(conversations))

    def drop_contexts(self, keys: Iterable[tuple[str, str]]) -> None:
        """Drop the context of open messages, named by platform and event id."""
        self._without_context.update(keys)

    def without_dropped_context(self, message: Message) -> Message:
        """The message as it may be read now."""
        dropped = (message.platform, message.event_id) in self._without_context
        return replace(message, context=()) if dropped else message
