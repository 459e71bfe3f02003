"""The explanation of a hit in words."""

from typing import Any

from bot.cli.terminal.explanation_view import explain_hit


def hit(score: float, **parts: Any) -> dict[str, Any]:
    words = [
        {"word": "drive", "share": 0.3, "most": 0.3, "passages": 2},
        {"word": "shelf", "share": 0.0, "most": 0.25, "passages": 5},
        {"word": "zebra", "share": 0.0, "most": 0.4, "passages": 0},
    ]
    explanation = {
        "lexical": 0.3,
        "vector": score - 0.3,
        "context": 0.0,
        "threshold": 0.45,
        "words": words,
        "cosine": 0.4,
        "background": 0.1,
        "reranker": None,
    }
    return {"score": score, "explanation": {**explanation, **parts}}


def lines(told: dict[str, Any], better: dict[str, Any] | None = None) -> str:
    return "\n".join(explain_hit(told, better))


def test_the_parts_of_a_score_and_its_words() -> None:
    told = lines(hit(0.5))
    assert "score 0.50 = words 0.30 + meaning 0.20" in told
    assert "words: drive 0.30, shelf –, zebra –" in told
    assert "cosine 0.40, all passages on average 0.10" in told
    assert "previous question" not in told
    assert "lacks" not in told


def test_what_would_have_to_change() -> None:
    told = lines(hit(0.35), hit(0.6))
    assert "It lacks 0.10 to support an answer, which needs 0.45." in told
    assert "in other passages only; here they would add about: shelf (0.25)." in told
    assert "No passage has these words of the question: zebra." in told
    assert "The place above needs 0.25 more." in told


def test_a_passage_without_a_vector_names_doctor() -> None:
    assert "hearth doctor" in lines(hit(0.3, cosine=None, background=None))


def test_a_passage_as_near_as_all_others_is_told() -> None:
    assert "no nearer to the question than that of the average passage" in lines(hit(0.3, vector=0.0, cosine=0.05))


def test_the_context_and_the_reranker_are_told() -> None:
    told = lines(hit(0.6, context=0.1, reranker=2.5), hit(0.5))
    assert "+ previous question 0.10" in told
    assert "reranker: 2.50" in told
    assert "The reranker put it below the one above" in told
