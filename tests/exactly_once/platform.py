"""A chat platform that outlives Hearth: keeps what people see, drops send ids it knows, remembers all it was told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """What a person wrote. In a room that others read, Hearth tells the model who spoke."""

    event_id: str
    conversation: str
    author: str
    text: str
    private: bool

    @property
    def echo(self) -> str:
        """The answer of the echo engine: the question as the model reads it."""
        return self.text if self.private else f"{self.author}: {self.text}"

    def line(self) -> dict[str, Any]:
        """The question as an input line of `hearth chat --jsonl`."""
        return {
            "event_id": self.event_id,
            "conversation": self.conversation,
            "author": self.author,
            "text": self.text,
            "private": self.private,
        }


@dataclass
class Shown:
    """A message of Hearth's as people see it. `edits` counts the edits since it was posted."""

    send_id: str
    event_id: str
    conversation: str
    text: str
    edits: int = 0


@dataclass(frozen=True)
class Ending:
    """How Hearth said that an answer had ended: `kind` is finished or failed, `seen` what people saw at that moment."""

    kind: str
    text: str
    seen: str
    attempt: int


@dataclass
class Platform:
    """Takes Hearth's events as they come and judges nothing; `oddities` are sends that no platform could carry out."""

    questions: dict[str, Question] = field(default_factory=dict)
    shown: dict[str, Shown] = field(default_factory=dict)
    endings: dict[str, list[Ending]] = field(default_factory=dict)
    changed_after_end: set[str] = field(default_factory=set)
    oddities: list[str] = field(default_factory=list)
    sends: int = 0
    dropped: int = 0
    _known: dict[str, str] = field(default_factory=dict)

    def ask(self, question: Question) -> None:
        """A person writes; from now on the question is part of what a replay sends again."""
        self.questions[question.event_id] = question

    def history(self) -> list[dict[str, Any]]:
        """All that people ever wrote, oldest first, as input lines."""
        return [question.line() for question in self.questions.values()]

    def has_ended(self, event_id: str) -> bool:
        """Whether people see a question's answer as complete or given up."""
        return event_id in self.endings

    def answers_to(self, event_id: str) -> list[Shown]:
        """The messages that answer a question, oldest first."""
        return [message for message in self.shown.values() if message.event_id == event_id]

    def take(self, event: Event) -> None:
        """Carry out what Hearth sends."""
        match event["event"]:
            case "text":
                self._send(event)
            case "finished" | "failed":
                self._end(event)
            case "received" | "ignored" | "queued" | "typing":
                if event["event_id"] not in self.questions:
                    self.oddities.append(f"{event['event']} is about {event['event_id']}, which nobody asked")
            case _:
                self.oddities.append(f"unexpected event: {dict(event)}")

    def _send(self, event: Event) -> None:
        self.sends += 1
        send_id = event["send_id"]
        if send_id in self._known:
            self.dropped += 1
            if "edits" in event and event["text"] != self._known[send_id]:
                self.oddities.append(f"{send_id} was used for another text before, so the platform swallows this edit")
            return
        self._known[send_id] = event["text"]
        if "edits" in event:
            self._edit(event)
        else:
            self.shown[send_id] = Shown(send_id, event["event_id"], event["conversation"], event["text"])

    def _edit(self, event: Event) -> None:
        message = self.shown.get(event["edits"])
        if message is None:
            self.oddities.append(f"{event['send_id']} edits {event['edits']}, which was never posted")
            return
        if self.has_ended(message.event_id) and event["text"] != message.text:
            self.changed_after_end.add(message.event_id)
        message.text = event["text"]
        message.edits += 1

    def _end(self, event: Event) -> None:
        event_id = event["event_id"]
        seen = "".join(message.text for message in self.answers_to(event_id))
        self.endings.setdefault(event_id, []).append(Ending(event["event"], event["text"], seen, event["attempt"]))
