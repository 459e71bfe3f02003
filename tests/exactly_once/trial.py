"""The trial: asks, kills, restarts and replays, round after round, and keeps count of what was hit."""

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.exactly_once.child import Child
from tests.exactly_once.phases import BUSY, DELAYS_S, PHASES, Aim, Phase, detail, phase_hit
from tests.exactly_once.platform import Event, Platform, Question
from tests.exactly_once.remains import Remains, read_remains

PATIENCE_S = 90.0
"""How long anything may take before the trial calls it stuck."""

KILLED = -9
CONVERSATIONS = {"kitchen": False, "garden": False, "attic": True, "cellar": True}
"""Conversations, and whether only one person reads them."""

PEOPLE = ("ana", "ben", "chloé")
WORDS = "where does the grey heron sleep batteries storeroom gone à côté du chêne 🌳 l’été"


class Stuck(Exception):
    """Something that Hearth owes did not come."""


@dataclass
class Tally:
    """What the trial did and saw. `starts_s` are the seconds from each start to its first event."""

    hits: Counter[Phase] = field(default_factory=Counter)
    details: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    meant_to_fail: set[str] = field(default_factory=set)
    damaged: list[str] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)


class Trial:
    """One platform, one data folder, many lives of Hearth."""

    def __init__(self, config: Path, data_folder: Path, log: Path, seed: int) -> None:
        self.platform = Platform()
        self.tally = Tally()
        self._config, self._data_folder, self._log = config, data_folder, log
        self._random = random.Random(seed)
        self._news = threading.Condition()
        self._acknowledged: set[str] = set()
        self._queued: set[str] = set()
        self._shaken: set[str] = set()
        self._aim: Aim | None = None
        self._started = 0.0
        self._heard = False
        self._lives: list[Child] = []

    def run(self, kills: int, deliberate: int) -> None:
        """Kill so many times, among them `deliberate` questions twice each while they are being answered.

        Raises Stuck when Hearth does not start, answer or reach a phase in time.
        """
        pauses = max(3, kills // (deliberate + 1))
        while self.tally.kills < kills:
            if self.tally.kills % pauses == pauses - 2 and len(self.tally.meant_to_fail) < deliberate:
                self._kill_over_one_question_twice()
            else:
                self._kill_once(self._rarest())

    def close(self) -> None:
        """End what may still run, however the trial went."""
        if self._lives:
            self._child.kill()
            self._child.await_death(PATIENCE_S)

    def conclude(self) -> tuple[int, Remains]:
        """Let Hearth answer what is open and end by itself; its exit code and what it leaves."""
        self._start()
        self._await("the last answers", lambda: all(map(self.platform.has_ended, self.platform.questions)))
        code = self._child.end_input(PATIENCE_S)
        return code, read_remains(self._data_folder)

    @property
    def _child(self) -> Child:
        return self._lives[-1]

    def _rarest(self) -> Phase:
        return min(PHASES, key=lambda phase: (self.tally.hits[phase], self._random.random()))

    def _kill_once(self, phase: Phase) -> None:
        self._start()
        # A second crash over the same question would end it: right, but to be rare here.
        self._await("answers after a crash", lambda: all(map(self.platform.has_ended, self._shaken)))
        # Each in another conversation, because one conversation keeps only one of the engine's places busy.
        busy = self._random.sample([*CONVERSATIONS], 3) if phase in BUSY else []
        before = [self._question(conversation) for conversation in busy]
        target = self._question()
        after = [self._question() for _ in range(self._random.randrange(3))]
        self._strike(self._aim_at(phase, target), [*before, target, *after])

    def _kill_over_one_question_twice(self) -> None:
        self._start()
        self._await("an empty queue", lambda: all(map(self.platform.has_ended, self.platform.questions)))
        target = self._question()
        self.tally.meant_to_fail.add(target.event_id)
        self._strike(self._aim_at("first send", target), [target])
        again = Aim("edits", target.event_id, 0.0, attempt=2)
        self._aim = again  # before the start, or the second attempt may be over when the replay is
        self._start()
        self._bury(again)

    def _aim_at(self, phase: Phase, target: Question) -> Aim:
        shortest_s, longest_s = DELAYS_S[phase]
        delay_s = self._random.choice((shortest_s, self._random.uniform(shortest_s, longest_s)))
        return Aim(phase, target.event_id, delay_s, nth=self._random.randint(1, 5 if phase == "edits" else 2))

    def _start(self) -> None:
        """Start Hearth and replay all that was ever asked, as a platform's catch-up would."""
        self._acknowledged.clear()
        self._heard = False
        self._started = time.monotonic()
        self._lives = [Child(self._config, self._log, self._take)]
        self._child.send(self.platform.history())
        if self._aim is None:
            self._await("a start", lambda: self._acknowledged >= self.platform.questions.keys())

    def _strike(self, aim: Aim, questions: list[Question]) -> None:
        for question in questions:
            self.platform.ask(question)
        self._aim = aim
        self._child.send(question.line() for question in questions)
        if aim.phase == "arriving":
            time.sleep(aim.delay_s)
            self._child.kill()
        self._bury(aim)

    def _wait_for(self, aim: Aim) -> None:
        """Wait until the strike has come, or the target has slipped past its phase: killed then, it is "closed"."""
        patience = time.monotonic() + PATIENCE_S
        while self._child.is_alive and time.monotonic() < patience:
            if self._aim is not None and self.platform.has_ended(aim.event_id):
                self._child.kill()
            time.sleep(0.005)

    def _bury(self, aim: Aim) -> None:
        self._wait_for(aim)
        try:
            code = self._child.await_death(PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise Stuck(f"{aim} never came") from error
        if code != KILLED:
            raise Stuck(f"Hearth ended by itself with {code} before {aim}; its log is {self._log}")
        self._aim = None
        remains = read_remains(self._data_folder)
        if remains.integrity != "ok":
            self.tally.damaged.append(remains.integrity)
        self._shaken = remains.answering
        self._count(aim, remains)

    def _count(self, aim: Aim, remains: Remains) -> None:
        entry, answers = remains.entries.get(aim.event_id), self.platform.answers_to(aim.event_id)
        hit = phase_hit(entry, answers, aim.event_id in self._queued)
        self.tally.kills += 1
        self.tally.hits[hit] += 1
        if more := detail(hit, entry, self.platform, aim.event_id):
            self.tally.details[more] += 1

    def _take(self, event: Event) -> None:
        self._strike_at(event)  # first of all: some gaps are less than a millisecond wide
        with self._news:
            self.platform.take(event)
            if not self._heard and self.platform.questions:
                self._heard = True
                self.tally.starts_s.append(time.monotonic() - self._started)
            if event["event"] in ("received", "ignored"):
                self._acknowledged.add(event["event_id"])
            if event["event"] == "queued":
                self._queued.add(event["event_id"])
            self._news.notify_all()

    def _strike_at(self, event: Event) -> None:
        aim = self._aim
        if aim is not None and aim.wants(event, self.platform.questions[aim.event_id].echo):
            self._aim = None
            if aim.delay_s:
                time.sleep(aim.delay_s)
            self._child.kill()

    def _await(self, what: str, happened: Callable[[], bool]) -> None:
        patience = time.monotonic() + PATIENCE_S
        with self._news:
            while not self._news.wait_for(happened, 0.5):
                if not self._child.is_alive:
                    raise Stuck(f"Hearth ended by itself before {what}; its log is {self._log}")
                if time.monotonic() > patience:
                    raise Stuck(f"waited {PATIENCE_S:g} s for {what}; the log of Hearth is {self._log}")

    def _question(self, conversation: str = "") -> Question:
        number = len(self.platform.questions) + self._random.randrange(10**6, 10**7)
        conversation = conversation or self._random.choice([*CONVERSATIONS])
        words = " ".join(self._random.choices(WORDS.split(), k=self._random.randint(9, 16)))
        private = CONVERSATIONS[conversation]
        author = PEOPLE[0] if private else self._random.choice(PEOPLE)
        return Question(f"q{number}", conversation, author, f"{words} {number}?", private)
