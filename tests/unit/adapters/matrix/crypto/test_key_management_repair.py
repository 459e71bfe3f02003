"""Whatever failed, was lost or was put back before: once the server works, two devices understand each other again."""

import asyncio
import tempfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.delivery.errors import TransientFailure
from tests.fakes.key_exchange import ROOM, SAID, Device, KeyExchange
from tests.fakes.wire_faults import Faults

BOT, ANA = "@bot:home", "@ana:home"
REQUESTS = st.sampled_from(["upload", "query", "claim", "sendToDevice"])
STEPS = st.one_of(
    st.tuples(st.sampled_from(["fail", "lose"]), REQUESTS),
    st.tuples(
        st.sampled_from(
            ["say", "ask", "bot receives", "ana receives", "lose to-device", "restart", "restore", "use up"]
        ),
        st.just(""),
    ),
    st.tuples(st.just("wait"), st.just("")),
)
MESSAGES_UNTIL_READ = 4


class Course:
    """Two devices and what befalls them."""

    def __init__(self, folder: Path) -> None:
        self.exchange = KeyExchange()
        self.bot, self.ana = (Device(self.exchange, folder, user) for user in (BOT, ANA))
        self.saved = b""

    async def begin(self) -> None:
        for device in (self.bot, self.ana):
            await device.upkeep.upload_keys()
        await self.bot.say(ANA)
        await self.ana.receive()
        self.saved = self.bot.back_up()

    async def take(self, step: str, request: str) -> None:
        with suppress(TransientFailure):
            match step:
                case "fail":
                    self.exchange.faults.fail(request, TransientFailure("503"))
                case "lose":
                    self.exchange.faults.lose(request, TransientFailure("lost"))
                case "say":
                    await self.bot.say(ANA)
                case "ask":
                    await self.ana.say(BOT)
                case "bot receives":
                    await self.receive(self.bot)
                case "ana receives":
                    await self.receive(self.ana)
                case "lose to-device":
                    self.exchange.inbox.pop((ANA, self.ana.device_id), None)
                case "restart":
                    self.bot.restart()
                case "restore":
                    self.bot.restore(self.saved)
                case "use up":
                    self.use_up()
                case "wait":
                    self.bot.now_s += 30
                    self.ana.now_s += 30

    async def receive(self, device: Device) -> None:
        # The sessions are old enough to be renewed, which clients do once an hour.
        device.machine._unwedging_interval = timedelta(0)
        held = self.exchange.fallback.get((device.user_id, device.device_id))
        await device.receive(device_unused_fallback_key_types=["signed_curve25519"] if held else [])

    def use_up(self) -> None:
        keys = self.exchange.one_time[BOT, self.bot.device_id]
        for _ in range(min(len(keys), 30)):
            keys.popleft()

    async def understand_each_other(self) -> bool:
        """Whether each reads the other within a few messages."""
        self.exchange.faults = Faults()
        for _ in range(MESSAGES_UNTIL_READ):
            for device in (self.bot, self.ana):
                device.now_s += 2000
                await self.receive(device)
            said = await self.bot.say(ANA)
            # A key that the bot had before it was put back is gone: her client makes another one some day.
            self.ana.sharing.drop_session(ROOM)
            asked = await self.ana.say(BOT)
            await self.receive(self.ana)
            await self.receive(self.bot)
        answer, question = self.ana.read(BOT, said, "$answer"), self.bot.read(ANA, asked, "$question")
        return all(event is not None and event.content == SAID for event in (answer, question))

    def close(self) -> None:
        for device in (self.bot, self.ana):
            device.held.close()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=14))
def test_two_devices_understand_each_other_again_after_any_course_of_events(steps: list[tuple[str, str]]) -> None:
    async def play(folder: Path) -> bool:
        course = Course(folder)
        try:
            await course.begin()
            for step in steps:
                await course.take(*step)
            return await course.understand_each_other()
        finally:
            course.close()

    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(play(Path(folder)))
