"""Waiting for what other tasks do."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Let other tasks run until the condition holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.001)


async def rounds(number: int = 20) -> None:
    """Let other tasks run for a while in which nothing is to happen."""
    for _ in range(number):
        await asyncio.sleep(0)
