"""Output events of the console, one JSON object each, with the conversation and the question's event id."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bot.core.messages import FinalAnswer, Source

ConsoleEvent = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class QuestionRef:
    """The question of an event: the conversation's name on the console, and the question's event id."""

    conversation: str
    event_id: str

    def make_event(self, kind: str, **fields: Any) -> ConsoleEvent:
        """An event about this question."""
        return {"event": kind, "conversation": self.conversation, "event_id": self.event_id, **fields}

    @property
    def send_id(self) -> str:
        """The id of the answer's first send: the same in every attempt, so that a platform accepts it once."""
        return f"{self.event_id}/0"


def posted_event(question: QuestionRef, text: str) -> ConsoleEvent:
    """The answer's message appears with its first text."""
    return question.make_event("text", send_id=question.send_id, text=text)


def edited_event(question: QuestionRef, edits: str, attempt: int, revision: int, text: str) -> ConsoleEvent:
    """The answer's message gets a complete new text. Each edit has a unique id, or a platform would drop it."""
    send_id = f"{question.send_id}@{attempt}.{revision}"
    return question.make_event("text", send_id=send_id, edits=edits, text=text)


def finished_event(question: QuestionRef, attempt: int, final: FinalAnswer) -> ConsoleEvent:
    """The answer is complete."""
    return question.make_event(
        "finished",
        attempt=attempt,
        text=final.text,
        note=final.note,
        sources=[source_fields(source) for source in final.sources],
        timings={name: _rounded(value) for name, value in asdict(final.timings).items()},
    )


def failed_event(question: QuestionRef, attempt: int, text: str, sentence: str) -> ConsoleEvent:
    """The answer ended with a sentence instead; `text` is the whole message, the sentence included."""
    return question.make_event("failed", attempt=attempt, text=text, sentence=sentence)


def source_fields(source: Source) -> dict[str, Any]:
    """A source as plain values, its text under `passage`."""
    fields = asdict(source)
    fields["passage"] = fields.pop("text")
    return {**fields, "score": _rounded(source.score)}


def _rounded(value: float) -> float:
    return round(value, 6)
