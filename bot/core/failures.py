"""Turns an error into the sentence for the person who asked, and the kind that metrics count."""

from dataclasses import dataclass, field

from bot.core.errors import ReplyFailed
from bot.core.texts import Language, localize
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable
from models.engine import EngineFailed, PromptTooLong


@dataclass(eq=False)
class CrashedTooOften(Exception):
    """This message has crashed the process before, too often to try again."""

    crashes: int


@dataclass(eq=False)
class DeliveryTimedOut(Exception):
    """The platform did not take a finished answer in time."""

    timeout_s: float

    def __str__(self) -> str:
        return (
            f"The platform did not take the finished answer within {self.timeout_s:g} s; it is kept for the next start."
        )


@dataclass(frozen=True, slots=True)
class ErrorExplanation:
    """What to say about an error, and whether its traceback belongs into the log because nobody expected it."""

    kind: str
    text_key: str
    is_expected: bool = True
    values: dict[str, object] = field(default_factory=dict)

    def to_sentence(self, language: Language) -> str:
        """The sentence for the person who asked."""
        return localize(self.text_key, language, **self.values)


_TEXTS: tuple[tuple[type[BaseException], str, str], ...] = (
    (PromptTooLong, "too_long", "question_too_long"),
    (CrashedTooOften, "crashed", "crashed_twice"),
    (DeliveryTimedOut, "undelivered", "unexpected"),
    (EngineFailed, "engine", "engine_failed"),
    (TimeoutError, "timeout", "engine_silent"),
    (DatabaseUnusable, "storage", "storage_failed"),
    (DatabaseDamaged, "storage", "storage_failed"),
    (ReplyFailed, "reply", "unexpected"),
)


def explain_error(error: BaseException) -> ErrorExplanation:
    """What an error means to the person who asked."""
    values: dict[str, object] = {}
    if isinstance(error, PromptTooLong):
        values = {"size": error.prompt_tokens, "limit": error.limit_tokens}
    for kind, name, text in _TEXTS:
        if isinstance(error, kind):
            return ErrorExplanation(name, text, values=values)
    return ErrorExplanation("unexpected", "unexpected", is_expected=False)
