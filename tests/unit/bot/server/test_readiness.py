from bot.server.readiness import Readiness
from tests.fakes.engine import ScriptedEngine


def test_what_is_not_open_and_a_model_that_starts_again_keep_questions_from_being_answered() -> None:
    readiness = Readiness(["The index is not open yet."])
    assert readiness.reasons() == ["The index is not open yet."]
    readiness.missing.clear()
    readiness.engine = engine = ScriptedEngine()
    assert readiness.reasons() == []
    engine.interrupted_by = "The model is being started again."
    assert readiness.reasons() == ["The model is being started again."]
