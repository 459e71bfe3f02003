"""Forgetting: erases texts from the history and drops the engine's states that hold them, also after a restart."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from bot.core.erasure import ForgetResult
from bot.core.history import DAY_S, History
from bot.core.messages import ConversationId
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable
from models.engine import STATELESS_PREFIX, Engine, EngineFailed

log = logging.getLogger(__name__)

EXPIRE_EVERY_S = 6 * 3600.0

DROP_TIMEOUT_S = 30.0
"""For the engine to drop a state: a step of the model on a slow machine, and the deletion of a file on a busy disk."""


@dataclass(frozen=True, slots=True)
class DroppedStates:
    """The size of the dropped states in bytes, and how many could not be dropped and stay noted."""

    size_bytes: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was deleted from the history, and from the engine."""

    erased: ForgetResult = field(default_factory=ForgetResult)
    states: DroppedStates = field(default_factory=DroppedStates)


class Forgetter:
    """Forgets in this order: texts and a note of the states in one transaction, the states, the note.

    Whatever interrupts it, `drop_noted_states` goes on from there.
    """

    def __init__(self, history: History, engine: Engine) -> None:
        self._history = history
        self._engine = engine

    async def forget_person(self, person: str) -> Forgotten:
        """Forget a person in all conversations. Raises DatabaseDamaged and DatabaseUnusable, as all methods."""
        erased = await self._history.erasure.erase_person(person)
        return Forgotten(erased, await self.drop_noted_states())

    async def forget_conversation(self, conversation: ConversationId) -> Forgotten:
        """Forget all of a conversation."""
        erased = await self._history.erasure.erase_conversation(conversation)
        return Forgotten(erased, await self.drop_noted_states())

    async def forget_programs(self) -> Forgotten:
        """Forget what other programs asked through the API; the history never had it."""
        await self._history.erasure.note_states([STATELESS_PREFIX])
        return Forgotten(states=await self.drop_noted_states())

    async def expire(self, keep_days: float) -> Forgotten:
        """Forget what is older than `keep_days` days."""
        erased = await self._history.erasure.erase_older(time.time() - keep_days * DAY_S)
        return Forgotten(erased, await self.drop_noted_states())

    async def keep_expiring(self, keep_days: float) -> None:
        """Forget what grows older than `keep_days` days, until cancelled."""
        while True:
            try:
                erased = (await self.expire(keep_days)).erased
                if erased.questions:
                    log.info("Deleted %d questions older than %g days.", erased.questions, keep_days)
            except (DatabaseDamaged, DatabaseUnusable) as error:
                log.warning("Could not delete what is older than %g days: %s", keep_days, error)
            await asyncio.sleep(EXPIRE_EVERY_S)

    async def drop_noted_states(self) -> DroppedStates:
        """Drop the states that erasures have noted, and shrink the history's file."""
        noted = await self._history.erasure.forgotten_states()
        sizes: dict[str, int] = {}
        for key in dict.fromkeys(key for _, key in noted):
            try:
                async with asyncio.timeout(DROP_TIMEOUT_S):
                    sizes[key] = await self._engine.drop_state(key)
            except (EngineFailed, TimeoutError) as error:
                log.warning("Could not drop a saved state, it will be tried again: %s", str(error) or "no reply")
        await self._history.erasure.mark_dropped(number for number, key in noted if key in sizes)
        await self._history.erasure.shrink()
        return DroppedStates(sum(sizes.values()), len({key for _, key in noted} - sizes.keys()))
