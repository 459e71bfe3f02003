"""How late an event loop wakes a sleeper: a sampler to run beside the work that is measured."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

EVERY_S = 0.005


@dataclass
class Lag:
    """Lateness in seconds of each sleep of `EVERY_S`."""

    late_s: list[float] = field(default_factory=list)

    @property
    def p99_ms(self) -> float:
        """The lateness, in milliseconds, that one sleep in a hundred exceeds. Needs at least 100 sleeps."""
        if len(self.late_s) < 100:
            raise ValueError(f"{len(self.late_s)} samples of lag are too few for a p99")
        return 1000 * sorted(self.late_s)[int(len(self.late_s) * 0.99)]


@asynccontextmanager
async def sampled() -> AsyncIterator[Lag]:
    """Sample the lag of this loop while the body runs."""
    lag = Lag()
    sampling = asyncio.create_task(_sample(lag))
    try:
        yield lag
    finally:
        sampling.cancel()
        with suppress(asyncio.CancelledError):
            await sampling


async def idle_p99_ms(seconds: float) -> float:
    """The lag of this loop with nothing to do: what the machine itself takes."""
    async with sampled() as lag:
        await asyncio.sleep(seconds)
    return lag.p99_ms


async def _sample(lag: Lag) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY_S
        await asyncio.sleep(EVERY_S)
        lag.late_s.append(max(0.0, loop.time() - due))
