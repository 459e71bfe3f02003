"""Ready once everything is open, and unready again when the model has died."""

from bot.server.readiness import Readiness
from tests.fakes.engine import ScriptedEngine


async def test_what_is_missing_at_the_start_is_named() -> None:
    readiness = Readiness()
    assert await readiness.reasons() == [
        "The language model is not loaded yet.",
        "The documents' index is not open yet.",
    ]
    readiness.note_engine(ScriptedEngine())
    assert await readiness.reasons() == ["The documents' index is not open yet."]
    readiness.note_index()
    assert await readiness.reasons() == []


async def test_an_engine_that_has_died_is_named_until_it_works_again() -> None:
    readiness, engine = Readiness(), ScriptedEngine()
    readiness.note_engine(engine)
    readiness.note_index()
    engine.failure = "The inference thread has ended."
    assert await readiness.reasons() == ["The inference thread has ended."]
    engine.failure = None
    assert await readiness.reasons() == []
