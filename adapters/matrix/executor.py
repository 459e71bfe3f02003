"""A thread for work that would block the event loop: key files, parsing of large responses, pages, and files."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Inputs = ParamSpec("Inputs")
Output = TypeVar("Output")

# One thread: its work mostly holds the interpreter's lock, so more threads would only contend for it.
_EXECUTOR = ThreadPoolExecutor(max_workers=1, thread_name_prefix="matrix")


async def run_in_thread(work: Callable[Inputs, Output], *inputs: Inputs.args, **named: Inputs.kwargs) -> Output:
    """Run `work` in the thread; returns its result or raises its error."""
    return await asyncio.get_running_loop().run_in_executor(_EXECUTOR, lambda: work(*inputs, **named))
