"""Node process of a peer: one line of JSON for each call, response and notification."""

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
# One line may hold a timeline of long messages.
_LINE_BYTES = 64 * 2**20
_LOG_LINES = 60

TakeNotification = Callable[[dict[str, Any]], Awaitable[None]]


class CallFailed(Exception):
    """A call failed, with the error message of the client library."""


class NodeProcess:
    """Makes calls, and passes notifications to `take_notification` in order. `log` is the end of standard error."""

    def __init__(self, process: asyncio.subprocess.Process, take_notification: TakeNotification) -> None:
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self._process = process
        self._take_notification = take_notification
        self._ids = itertools.count(1)
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._reading = [asyncio.create_task(self._read()), asyncio.create_task(self._read_log())]

    @classmethod
    async def start(cls, take_notification: TakeNotification) -> Self:
        """Start the script with the library that `deploy.build.test_services` provides."""
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
        return cls(process, take_notification)

    async def call(self, name: str, **arguments: Any) -> Any:
        """Call one of the script's functions; raises CallFailed with the library's message, or when Node has exited."""
        if self._reading[0].done():
            raise CallFailed(f"Node has exited:\n{self._log_text()}")
        number = next(self._ids)
        answer = self._calls[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "call": name, **arguments}).encode() + b"\n")
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await answer
        except TimeoutError:
            raise AssertionError(f"no answer to {name} within {ANSWER_WITHIN_S} s:\n{self._log_text()}") from None
        finally:
            del self._calls[number]

    async def end(self) -> None:
        """Close standard input and wait for the exit; kill the process when that takes too long."""
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
            message = json.loads(line)
            if "id" not in message:
                await self._take_notification(message)
            elif (answer := self._calls.get(message["id"])) and not answer.done():
                if "error" in message:
                    answer.set_exception(CallFailed(message["error"]))
                else:
                    answer.set_result(message["result"])
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(CallFailed(f"Node has exited:\n{self._log_text()}"))

    async def _read_log(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.log.append(line.decode(errors="replace").rstrip())

    def _log_text(self) -> str:
        return "\n".join(self.log)
