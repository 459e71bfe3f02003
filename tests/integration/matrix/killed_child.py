"""`hearth run` on a homeserver as a child process that is killed at chosen moments of an answer, life after life."""

import asyncio
import os
import random
import sys
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from deploy.dev.homeserver import Account, Shown
from deploy.dev.homeserver.client import Client
from tests.fakes.matrix_resident import log_in
from tests.homeserver import Capture
from tests.homeserver.faults import Fault
from tests.integration.matrix.signed_device import happens

Ask = Callable[[], Awaitable[tuple[str, str]]]
"""Says a question; its event's id and the text, which is the answer's too."""

ROOT = Path(__file__).parents[3]
SEND = r"/send/m\.room\.(message|encrypted)/"
ENDS_WITHIN_S = 120.0

MOMENTS = (
    "heard",  # the homeserver has told of the question; journaled or not
    "opened",  # the answer begins
    "first send on its way",
    "first send taken",
    "edit on its way",
    "edit taken",
    "whole",  # people see the whole answer; whether the journal is closed and the sync token noted is left to chance
)
"""When it is killed."""


class Child:
    """Lives of one Hearth. Its only way to the homeserver is the proxy; `log` holds what all lives said."""

    def __init__(self, folder: Path, account: Account, capture: Capture, seed: int) -> None:
        self.account = account
        self.log = folder / "hearth.log"
        self.random = random.Random(seed)
        self._folder = folder
        self._capture = capture
        self._process: Process | None = None
        self._told: Callable[[Any], None] = lambda _: None
        log_in(folder / "data", capture.url, account)

    async def start(self, tokens_per_s: float = 1500) -> None:
        """Begin a life."""
        settings: dict[str, Any] = {
            "data_folder": "data",
            "http": {"enabled": False},
            "log_level": "warning",
            "model": {
                "engine": "echo",
                "sampling": {"max_tokens": 16384},
                "echo": {"tokens_per_s": tokens_per_s, "context_tokens": 65536},
            },
            "knowledge": {"embedding": {"kind": "hashing"}},
            "core": {
                "when_nothing_found": "answer",
                "flood_answers_per_minute": 1000,
                "queue_notice_after_s": 60,
                "language": "en",
            },
            "matrix": {"enabled": True},
        }
        (self._folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        self._capture.faults.alter("/sync", self._hear)
        kept = {key: value for key, value in os.environ.items() if key != "HEARTH_CONFIG"}
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot", "run"),
                cwd=self._folder,
                env={**kept, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
                stdout=log,
                stderr=log,
            )

    def _hear(self, told: Any) -> Any:
        self._told(told)
        return told

    def kill(self) -> None:
        """SIGKILL, at once."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()

    async def died(self) -> None:
        """Wait until it is dead, by our hand."""
        assert self._process is not None
        async with asyncio.timeout(ENDS_WITHIN_S):
            assert await self._process.wait() == -9, self.log.read_text(encoding="utf-8")[-4000:]

    async def close(self) -> None:
        """End the last life."""
        if self._process is not None:
            self.kill()
            await self._process.wait()

    async def strike(self, moment: str, ask: Ask, asker: Client, room: str) -> None:
        """Ask, and kill at this moment of the answer."""
        match moment:
            case "heard":
                await self._when_heard(ask, asker)
            case "opened":
                await self._over("/typing/", ask, self.random.choice([0, self.random.uniform(0, 0.02)]))
            case "first send on its way":
                held = self._capture.faults.hold(SEND, times=1)
                await ask()
                await self._capture.until(lambda: held.held)
                await self._lost(held)
            case "first send taken":
                await self._over(SEND, ask)
            case "edit on its way" | "edit taken":
                before = len(self.answers(asker, room))
                question, text = await ask()
                await asker.until(lambda: len(self.answers(asker, room)) > before)
                taken = moment == "edit taken"
                struck = self._kill_once_done(SEND) if taken else self._capture.faults.hold(SEND, times=1)
                # A life that has sent much already may send all of an answer at once.
                await happens(lambda: bool(struck.hits) or self.has_answered(asker, room, question, text))
                if taken:
                    await asyncio.sleep(0.2)
                await self._lost(struck)
            case "whole":
                question, text = await ask()
                await asker.until(lambda: self.has_answered(asker, room, question, text))
                await asyncio.sleep(self.random.choice([0, self.random.uniform(0, 1.2)]))
                self.kill()
            case _:
                raise AssertionError(moment)
        await self.died()
        self._capture.faults.stop()

    def answers(self, asker: Client, room: str) -> dict[str, list[Shown]]:
        """What it has answered, as somebody sees it, by question."""
        found: dict[str, list[Shown]] = {}
        for shown in asker.timeline.shown(room, self.account.user_id):
            if shown.kind == "m.text":
                found.setdefault(shown.reply_to, []).append(shown)
        return found

    def has_answered(self, asker: Client, room: str, question: str, text: str) -> bool:
        """Whether the answer to a question is whole."""
        return joined(shown.body for shown in self.answers(asker, room).get(question, [])) == joined([text])

    async def _when_heard(self, ask: Ask, asker: Client) -> None:
        """Kill when the homeserver has told of the question, or a moment later."""
        delay_s = self.random.choice([0, self.random.uniform(0, 0.05)])
        heard = asyncio.Event()

        def strike(told: Any) -> None:
            joined = told.get("rooms", {}).get("join", {}) if isinstance(told, dict) else {}
            events = [event for room in joined.values() for event in room.get("timeline", {}).get("events", [])]
            if any(event["sender"] == asker.user_id for event in events) and not heard.is_set():
                heard.set()
                self._kill_after(delay_s)

        self._told = strike
        await ask()
        async with asyncio.timeout(ENDS_WITHIN_S):
            await heard.wait()
        self._told = lambda _: None

    async def _over(self, path: str, ask: Ask, delay_s: float = 0) -> None:
        """Ask, and kill over the first such request that the homeserver has done."""
        struck = self._kill_once_done(path, delay_s)
        await ask()
        await happens(lambda: bool(struck.hits))

    def _kill_once_done(self, path: str, delay_s: float = 0) -> Fault:
        """Kill when the homeserver has done such a request, before or after Hearth hears of it."""

        def strike(told: Any) -> Any:
            self._kill_after(delay_s)
            return told

        return self._capture.faults.alter(path, strike)

    async def _lost(self, held: Fault) -> None:
        """Kill while a request is on its way; it never arrives."""
        self.kill()
        await self._capture.until(lambda: not held.held)

    def _kill_after(self, delay_s: float) -> None:
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self.kill)
        else:
            self.kill()


def joined(texts: Iterable[str]) -> str:
    """Texts of messages in a row; where one ends and the next begins, spaces may be lost."""
    return "".join("".join(texts).split())
