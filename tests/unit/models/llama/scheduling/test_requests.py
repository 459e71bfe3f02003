from collections.abc import Callable
from threading import Thread

import pytest

from models.engine import EngineFailed, Prompt
from models.llama.native.cancel_flag import CancelFlag, abort_callback
from models.llama.scheduling.requests import DropState, RequestQueue, WarmUp

_PROMPT = Prompt("", (), "x")


def test_the_flag_tells_llama_cpp_to_stop_only_once_it_is_set() -> None:
    import ctypes

    flag = CancelFlag()
    callback = abort_callback(ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p))
    assert not flag.is_set
    assert callback(flag.address) is False
    flag.set()
    assert flag.is_set
    assert callback(flag.address) is True


def _taken(jobs: RequestQueue) -> list[object]:
    return list(jobs.take_requests(0))


def test_jobs_are_taken_in_the_order_in_which_they_came() -> None:
    jobs = RequestQueue()
    added = [WarmUp("a", _PROMPT), DropState("b"), WarmUp("c", _PROMPT)]
    for job in added:
        jobs.add(job)
    assert _taken(jobs) == added
    assert _taken(jobs) == []


def test_a_running_preparation_gives_way_to_all_but_another_preparation() -> None:
    jobs = RequestQueue()
    running = WarmUp("a", _PROMPT)
    jobs.set_running_warm_up(running)
    jobs.add(WarmUp("b", _PROMPT))
    assert not running.cancel_flag.is_set
    jobs.add(DropState("b"))
    assert running.cancel_flag.is_set


def test_a_newer_prompt_of_the_same_conversation_stops_a_preparation() -> None:
    jobs = RequestQueue()
    running = WarmUp("a", _PROMPT)
    jobs.set_running_warm_up(running)
    jobs.add(WarmUp("a", _PROMPT))
    assert running.cancel_flag.is_set


def test_what_came_while_a_preparation_was_chosen_stops_it_too() -> None:
    jobs = RequestQueue()
    running = WarmUp("a", _PROMPT)
    jobs.add(DropState("b"))
    jobs.set_running_warm_up(running)
    assert running.cancel_flag.is_set


def test_closing_stops_what_runs_tells_who_waits_and_refuses_the_rest() -> None:
    jobs = RequestQueue()
    running, waiting, over = WarmUp("a", _PROMPT), DropState("b"), WarmUp("c", _PROMPT)
    for job in (running, waiting, over):
        jobs.add(job)
    jobs.take_requests(0)
    jobs.mark_done(over)
    jobs.close("It is over.")
    assert jobs.closing.is_set
    assert running.cancel_flag.is_set
    assert waiting.done.result(0) == 0
    assert not over.cancel_flag.is_set
    assert _taken(jobs) == []
    with pytest.raises(EngineFailed, match="It is over"):
        jobs.add(DropState("c"))


def test_closing_stops_a_preparation_that_nobody_waits_for() -> None:
    jobs = RequestQueue()
    running, next_one = WarmUp("a", _PROMPT), WarmUp("b", _PROMPT)
    jobs.set_running_warm_up(running)
    jobs.close("It is over.")
    assert running.cancel_flag.is_set
    jobs.set_running_warm_up(next_one)
    assert next_one.cancel_flag.is_set


@pytest.mark.parametrize("end", [RequestQueue.wake_thread, lambda jobs: jobs.close("It is over.")])
def test_a_waiting_taker_is_woken(end: Callable[[RequestQueue], None]) -> None:
    jobs = RequestQueue()
    taken: list[object] = []
    taker = Thread(target=lambda: taken.append(jobs.take_requests(None)))
    taker.start()
    end(jobs)
    taker.join(5)
    assert taken == [[]]
