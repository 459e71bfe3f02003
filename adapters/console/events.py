"""The console's output events, one JSON object each; every one names the conversation and the question's event id."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bot.core.messages import Closing, Source

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What an event belongs to: the conversation's name on the console, and the question's event id."""

    conversation: str
    event_id: str

    def event(self, kind: str, **fields: Any) -> Event:
        """An event about this question."""
        return {"event": kind, "conversation": self.conversation, "event_id": self.event_id, **fields}

    @property
    def send_id(self) -> str:
        """The id of the answer's first send: the same in every attempt, so that a platform takes it once."""
        return f"{self.event_id}/0"


def posted(question: Question, text: str) -> Event:
    """The answer's message appears with its first text."""
    return question.event("text", send_id=question.send_id, text=text)


def edited(question: Question, edits: str, attempt: int, revision: int, text: str) -> Event:
    """The answer's message gets a whole new text. Each edit has an id of its own, or a platform would drop it."""
    send_id = f"{question.send_id}@{attempt}.{revision}"
    return question.event("text", send_id=send_id, edits=edits, text=text)


def finished(question: Question, attempt: int, closing: Closing) -> Event:
    """The answer is complete."""
    return question.event(
        "finished",
        attempt=attempt,
        text=closing.text,
        note=closing.note,
        sources=[source_fields(source) for source in closing.sources],
        timings={name: _rounded(value) for name, value in asdict(closing.timings).items()},
    )


def failed(question: Question, attempt: int, text: str, sentence: str) -> Event:
    """The answer ended with a sentence instead; `text` is all that is shown, the sentence included."""
    return question.event("failed", attempt=attempt, text=text, sentence=sentence)


def bad_line(number: int, reason: object) -> Event:
    """An input line was refused, and nothing else happened."""
    return {"event": "error", "line": number, "sentence": f"Line {number}: {reason}."}


def source_fields(source: Source) -> dict[str, Any]:
    """A source as plain values, its text under `passage`."""
    fields = asdict(source)
    fields["passage"] = fields.pop("text")
    return {**fields, "score": _rounded(source.score)}


def _rounded(value: float) -> float:
    return round(value, 6)
