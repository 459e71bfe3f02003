"""A program sends its whole history each time: it is cut and cleaned as Hearth's own would be."""

from bot.core.retrieval_prompt import clean_history, newest_turns
from models.engine import Turn

FOUND_NOTHING = "I found nothing about this in the documents. I looked in: handbook."
CUT = "The answer was cut short: it reached the length limit."
UNSUPPORTED = "Aucun document n’appuie cette réponse. J’ai cherché dans : handbook."


def chat(turns: int) -> tuple[Turn, ...]:
    return tuple(Turn("assistant" if number % 2 else "user", f"{number}") for number in range(turns))


def ten(_: Turn) -> int:
    return 10


def test_a_history_that_fits_is_kept_whole() -> None:
    assert newest_turns(chat(10), ten, 100) == chat(10)
    assert newest_turns((), ten, 100) == ()


def test_a_history_that_grows_begins_at_the_same_turn_for_many_turns() -> None:
    begins = [newest_turns(chat(turns), ten, 200)[0].text for turns in range(2, 102, 2)]
    assert begins == sorted(begins, key=int)
    assert len(set(begins)) <= 10


def test_a_cut_history_fits_and_begins_with_a_question() -> None:
    for turns in range(2, 102, 2):
        kept = newest_turns(chat(turns), ten, 200)
        assert len(kept) * 10 <= 200
        assert kept[0].role == "user"
        assert kept[-1] == chat(turns)[-1]


def test_what_stood_below_an_answer_is_no_part_of_it() -> None:
    said = (
        Turn("user", "What?"),
        Turn("assistant", f"Perhaps so.\n\n{UNSUPPORTED}\n\n{CUT}"),
        Turn("user", UNSUPPORTED),
    )
    assert clean_history(said, "handbook") == (said[0], Turn("assistant", "Perhaps so."), said[2])


def test_a_question_on_which_nothing_was_found_is_forgotten_with_its_answer() -> None:
    said = (*chat(2), Turn("user", "What?"), Turn("assistant", FOUND_NOTHING), *chat(2))
    assert clean_history(said, "handbook") == (*chat(2), *chat(2))
    assert clean_history((Turn("assistant", FOUND_NOTHING),), "handbook") == ()
