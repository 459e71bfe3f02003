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


def _take(requests: RequestQueue) -> list[object]:
    return list(requests.take_requests(0))


def test_jobs_are_taken_in_the_order_in_which_they_came() -> None:
    requests = RequestQueue()
    added = [WarmUp("a", _PROMPT), DropState("b"), WarmUp("c", _PROMPT)]
    for request in added:
        requests.add(request)
    assert _take(requests) == added
    assert _take(requests) == []


def test_a_running_preparation_gives_way_to_all_but_another_preparation() -> None:
    requests = RequestQueue()
    running = WarmUp("a", _PROMPT)
    requests.set_running_warm_up(running)
    requests.add(WarmUp("b", _PROMPT))
    assert not running.cancel_flag.is_set
    requests.add(DropState("b"))
    assert running.cancel_flag.is_set


def test_a_newer_prompt_of_the_same_conversation_stops_a_preparation() -> None:
    requests = RequestQueue()
    running = WarmUp("a", _PROMPT)
    requests.set_running_warm_up(running)
    requests.add(WarmUp("a", _PROMPT))
    assert running.cancel_flag.is_set


def test_what_came_while_a_preparation_was_chosen_stops_it_too() -> None:
    requests = RequestQueue()
    running = WarmUp("a", _PROMPT)
    requests.add(DropState("b"))
    requests.set_running_warm_up(running)
    assert running.cancel_flag.is_set


def test_closing_stops_what_runs_tells_who_waits_and_refuses_the_rest() -> None:
    requests = RequestQueue()
    running, waiting, over = WarmUp("a", _PROMPT), DropState("b"), WarmUp("c", _PROMPT)
    for request in (running, waiting, over):
        requests.add(request)
    requests.take_requests(0)
    requests.mark_done(over)
    requests.close("It is over.")
    assert requests.closing.is_set
    assert running.cancel_flag.is_set
    with pytest.raises(EngineFailed, match="It is over"):
        waiting.done.result(0)
    assert not over.cancel_flag.is_set
    assert _take(requests) == []
    with pytest.raises(EngineFailed, match="It is over"):
        requests.add(DropState("c"))


def test_closing_stops_a_preparation_that_nobody_waits_for() -> None:
    requests = RequestQueue()
    running, next_one = WarmUp("a", _PROMPT), WarmUp("b", _PROMPT)
    requests.set_running_warm_up(running)
    requests.close("It is over.")
    assert running.cancel_flag.is_set
    requests.set_running_warm_up(next_one)
    assert next_one.cancel_flag.is_set


@pytest.mark.parametrize("end", [RequestQueue.wake_thread, lambda requests: requests.close("It is over.")])
def test_a_waiting_taker_is_woken(end: Callable[[RequestQueue], None]) -> None:
    requests = RequestQueue()
    results: list[object] = []
    waiter = Thread(target=lambda: results.append(requests.take_requests(None)))
    waiter.start()
    end(requests)
    waiter.join(5)
    assert results == [[]]
