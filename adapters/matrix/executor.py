"""The thread for what would hold up the event loop: keys on a disk, large answers to be parsed, pages, and files."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Inputs = ParamSpec("Inputs")
Output = TypeVar("Output")

# One thread: what it does holds the interpreter's lock for the most part, so more would only crowd each other.
_EXECUTOR = ThreadPoolExecutor(max_workers=1, thread_name_prefix="matrix")


async def run_in_thread(work: Callable[Inputs, Output], *inputs: Inputs.args, **named: Inputs.kwargs) -> Output:
    """The result of `work`, done in the thread; raises what it raises."""
    return await asyncio.get_running_loop().run_in_executor(_EXECUTOR, lambda: work(*inputs, **named))
