"""The phases in which Hearth is killed: what to wait for to hit one, and which one a death really hit."""

from dataclasses import dataclass
from typing import Literal, get_args

from tests.exactly_once.platform import Event, Platform, Shown
from tests.exactly_once.remains import Entry

Phase = Literal["arriving", "journaled", "queued", "searching", "first send", "edits", "finish", "closed"]
PHASES: tuple[Phase, ...] = get_args(Phase)

BUSY: tuple[Phase, ...] = ("arriving", "journaled", "queued")
"""Phases that are met only while others keep the engine busy."""

DELAYS_S: dict[Phase, tuple[float, float]] = {
    "arriving": (0.0, 0.002),
    "journaled": (0.0, 0.0005),
    "queued": (0.0, 0.05),
    "searching": (0.0, 0.01),
    "first send": (0.0, 0.002),
    "edits": (0.0, 0.03),
    "finish": (0.0, 0.0005),
    "closed": (0.03, 0.15),
}
"""Between what is waited for and the kill: half of the times the first of these, else anything up to the second."""


@dataclass(frozen=True)
class Aim:
    """When to kill: `delay_s` after the event that `wants` picks. `nth` counts the edits of the answer's `attempt`."""

    phase: Phase
    event_id: str
    delay_s: float
    nth: int = 1
    attempt: int = 1

    def wants(self, event: Event, whole_text: str) -> bool:
        """Whether this is the event to strike at."""
        if event.get("event_id") != self.event_id:
            return False
        kind, is_edit = event["event"], "edits" in event
        match self.phase:
            case "arriving":
                return False  # struck by the clock: nothing can be seen yet
            case "journaled":
                return bool(kind == "received")
            case "queued":
                return bool(kind == "queued")
            case "searching":
                return bool(kind == "typing")
            case "first send":
                return kind == "text" and not is_edit
            case "edits":
                return is_edit and _number(event) >= (self.attempt, self.nth)
            case "finish":
                return kind == "finished" or (is_edit and self.nth == 1 and event["text"] == whole_text)
            case "closed":
                return bool(kind == "finished")


def _number(event: Event) -> tuple[int, int]:
    attempt, _, revision = event["send_id"].rpartition("@")[2].partition(".")
    return int(attempt), int(revision)


def phase_hit(entry: Entry | None, answers: list[Shown], was_queued: bool) -> Phase:
    """In which phase a question was when Hearth died, by the journal it left and by what the platform had."""
    if entry is None:
        return "arriving"
    match entry.state:
        case "received":
            return "queued" if was_queued else "journaled"
        case "answering" if not answers:
            return "searching"
        case "answering":
            return "edits" if answers[0].edits else "first send"
        case "written":
            return "finish"
        case _:
            return "closed"


def detail(phase: Phase, entry: Entry | None, platform: Platform, event_id: str) -> str:
    """On which side of the phase's own gap the death fell: between the platform and the journal."""
    match phase:
        case "first send":
            return "first send, part in the journal" if entry and entry.parts else "first send, part not in the journal"
        case "finish":
            return "finish, end seen" if platform.has_ended(event_id) else "finish, end not seen"
        case _:
            return ""
