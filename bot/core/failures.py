"""Explains an error: the sentence for the person who asked, and the kind that metrics count."""

from dataclasses import dataclass, field

from bot.core.errors import ReplyFailed, is_user_facing
from bot.core.texts import Language, localize
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable
from models.engine import EngineFailed, PromptTooLong


@dataclass(eq=False)
class CrashedTooOften(Exception):
    """A message that crashed the process too often to be tried again."""

    user_facing = True
    crashes: int

    def __str__(self) -> str:
        return f"Answering this message crashed the process {self.crashes} times, so it is not tried again."


@dataclass(eq=False)
class DeliveryTimedOut(Exception):
    """The platform did not accept a finished answer in time."""

    user_facing = True
    timeout_s: float

    def __str__(self) -> str:
        return (
            f"The platform did not take the finished answer within {self.timeout_s:g} s; it is kept for the next start."
        )


@dataclass(frozen=True, slots=True)
class ErrorExplanation:
    """The kind of an error for metrics, its text for people, and whether it is expected: a bug is logged with its
    traceback.
    """

    kind: str
    text_key: str
    is_expected: bool = True
    values: dict[str, object] = field(default_factory=dict)

    def to_sentence(self, language: Language) -> str:
        """The sentence for the person who asked."""
        return localize(self.text_key, language, **self.values)


# A translation into the conversation's language, not a list of expected errors: those carry the mark. TimeoutError is
# Python's own and cannot; the engine's stall timeout raises it.
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
    """Explain an error to the person who asked."""
    values: dict[str, object] = {}
    if isinstance(error, PromptTooLong):
        values = {"size": error.prompt_tokens, "limit": error.limit_tokens}
    for kind, name, text in _TEXTS:
        if isinstance(error, kind):
            return ErrorExplanation(name, text, values=values)
    return ErrorExplanation("unexpected", "unexpected", is_expected=is_user_facing(error))
