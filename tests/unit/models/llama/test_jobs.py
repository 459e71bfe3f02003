from threading import Thread

import pytest

from models.engine import EngineFailed, Prompt
from models.llama.cancelling import CancelFlag, abort_callback
from models.llama.jobs import Forgetting, JobQueue, Preparation
from models.llama.pace import Pace

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


def test_forgetting_goes_first_and_drops_what_was_to_be_prepared() -> None:
    jobs = JobQueue()
    dropped, kept, forgetting = Preparation("a", _PROMPT), Preparation("b", _PROMPT), Forgetting("a")
    for job in (dropped, kept, forgetting):
        jobs.add(job)
    assert jobs.take() is forgetting
    assert jobs.take() is kept
    assert dropped.done.result(0) is None


def test_a_newer_preparation_of_a_conversation_replaces_the_older() -> None:
    jobs = JobQueue()
    older, newer = Preparation("a", _PROMPT), Preparation("a", _PROMPT)
    jobs.add(older)
    jobs.add(newer)
    assert jobs.take() is newer
    assert older.done.done()


def test_closing_wakes_who_waits_stops_what_runs_and_refuses_the_rest() -> None:
    jobs = JobQueue()
    running, waiting = Preparation("a", _PROMPT), Forgetting("b")
    jobs.add(running)
    assert jobs.take() is running
    jobs.add(waiting)
    jobs.close("It is over.")
    assert running.flag.is_set
    assert waiting.done.result(0) == 0
    assert jobs.take() is None
    with pytest.raises(EngineFailed, match="It is over"):
        jobs.add(Forgetting("c"))


def test_a_waiting_taker_is_woken_by_a_close() -> None:
    jobs = JobQueue()
    taken: list[object] = []
    taker = Thread(target=lambda: taken.append(jobs.take()))
    taker.start()
    jobs.close("It is over.")
    taker.join(5)
    assert taken == [None]


def test_the_estimate_is_zero_before_the_first_answer_and_grows_with_the_queue() -> None:
    from models.engine import Usage

    pace = Pace()
    assert pace.estimate() == 0
    pace.asked()
    pace.began()
    pace.ended(Usage(10, 10, 0, 20, prefill_s=1.0, decode_s=4.0, finish="stop"))
    assert pace.estimate() == 1.0
    pace.asked()
    pace.asked()
    assert pace.estimate() == 11.0
