"""The judge: what a platform saw, held against what exactly-once promises."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bot.core.texts import localize
from tests.exactly_once.platform import Ending, Platform, Question

GIVEN_UP = localize("crashed_twice", "en")
"""What Hearth says, in English, to a question over which it has crashed twice."""

Kind = Literal["lost", "answered twice", "left over", "wrong text", "out of order", "impossible send"]


@dataclass(frozen=True)
class Fault:
    """A promise that was broken, and over which question."""

    kind: Kind
    event_id: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.event_id}: {self.detail}"


def judge(platform: Platform) -> list[Fault]:
    """All broken promises; call it when Hearth has nothing left to do."""
    faults = [Fault("impossible send", "", oddity) for oddity in platform.oddities]
    for question in platform.questions.values():
        faults.extend(_about(question, platform))
    faults.extend(_strays(platform))
    faults.extend(_disorder(platform))
    return faults


def given_up(platform: Platform) -> list[str]:
    """The questions that ended with the sentence for two crashes."""
    return [event_id for event_id, endings in platform.endings.items() if endings[0].kind == "failed"]


def _about(question: Question, platform: Platform) -> Iterator[Fault]:
    event_id = question.event_id
    messages, endings = platform.answers_to(event_id), platform.endings.get(event_id, [])
    if not endings:
        yield Fault("lost", event_id, "its answer never ended")
    if not messages:
        yield Fault("lost", event_id, "people see no answer")
        return
    if len(messages) > 1:
        yield Fault("answered twice", event_id, f"people see {len(messages)} messages")
    if len({(ending.kind, ending.text) for ending in endings}) > 1:
        yield Fault("answered twice", event_id, f"it ended in several ways: {[ending.kind for ending in endings]}")
    if endings:
        yield from _end_of(question, endings[0], messages[0].text)
    if event_id in platform.changed_after_end:
        yield Fault("left over", event_id, "its text changed after the end")
    if any(message.conversation != question.conversation for message in messages):
        yield Fault("wrong text", event_id, "the answer is in another conversation")


def _end_of(question: Question, ending: Ending, text: str) -> Iterator[Fault]:
    expected = question.echo if ending.kind == "finished" else GIVEN_UP
    if ending.text != expected:
        yield Fault("wrong text", question.event_id, f"{ending.kind} with {ending.text!r} instead of {expected!r}")
    if ending.seen != ending.text:
        yield Fault("left over", question.event_id, f"at the end people saw {ending.seen!r}")
    if text != ending.text:
        yield Fault("left over", question.event_id, f"people now see {text!r}")


def _strays(platform: Platform) -> Iterator[Fault]:
    for message in platform.shown.values():
        if message.event_id not in platform.questions:
            yield Fault("left over", message.event_id, f"{message.send_id} answers nothing that was asked")
    for event_id in platform.endings.keys() - platform.questions.keys():
        yield Fault("left over", event_id, "an answer ended that nobody asked for")


def _disorder(platform: Platform) -> Iterator[Fault]:
    """Questions of a conversation are answered in their order; one that is given up may be told at any time."""
    asked = {event_id: number for number, event_id in enumerate(platform.questions)}
    skipped = set(given_up(platform))
    latest: dict[str, int] = {}
    for message in platform.shown.values():
        number = asked.get(message.event_id)
        if number is None or message.event_id in skipped:
            continue
        if number < latest.get(message.conversation, -1):
            yield Fault("out of order", message.event_id, "a later question of its conversation was answered first")
        latest[message.conversation] = max(number, latest.get(message.conversation, -1))
