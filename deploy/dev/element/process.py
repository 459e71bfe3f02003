"""The Node process behind a peer: one line of JSON for each call, answer and piece of news."""

import asyncio
import itertools
import json
import os
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from deploy.build import test_services

SCRIPT = Path(__file__).with_name("peer.mjs")
ANSWER_WITHIN_S = 60.0
END_WITHIN_S = 15.0
# A timeline of long messages, in one line.
_LINE_BYTES = 64 * 2**20
_LOG_LINES = 60

Heard = Callable[[dict[str, Any]], Awaitable[None]]


class CallFailed(Exception):
    """The client library refused what was asked, in its own words."""


class NodeProcess:
    """Calls with answers; what is told in between goes to `heard`, in order. `log` is the end of standard error."""

    def __init__(self, process: asyncio.subprocess.Process, heard: Heard) -> None:
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self._process = process
        self._heard = heard
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._reading = [asyncio.create_task(self._read()), asyncio.create_task(self._read_log())]

    @classmethod
    async def start(cls, heard: Heard) -> Self:
        """Start the script with the library that `deploy.build.test_services` keeps."""
        modules = await asyncio.to_thread(test_services.client_library, os.environ)
        process = await asyncio.create_subprocess_exec(
            "node",
            SCRIPT,
            modules,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
        )
        return cls(process, heard)

    async def call(self, name: str, **about: Any) -> Any:
        """Call one of the script's functions; raises CallFailed with the library's words, or if Node is gone."""
        if self._reading[0].done():
            raise CallFailed(f"Node is gone:\n{self._told()}")
        number = next(self._ids)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "call": name, **about}).encode() + b"\n")
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await answer
        except TimeoutError:
            raise AssertionError(f"no answer to {name} within {ANSWER_WITHIN_S} s:\n{self._told()}") from None
        finally:
            del self._asked[number]

    async def end(self) -> None:
        """Let it go, by force if need be."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(END_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await asyncio.gather(*self._reading)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "id" not in told:
                await self._heard(told)
            elif (answer := self._asked.get(told["id"])) and not answer.done():
                if "error" in told:
                    answer.set_exception(CallFailed(told["error"]))
                else:
                    answer.set_result(told["result"])
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(CallFailed(f"Node ended:\n{self._told()}"))

    async def _read_log(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.log.append(line.decode(errors="replace").rstrip())

    def _told(self) -> str:
        return "\n".join(self.log)
