from knowledge.duplicates import distinct_first
from knowledge.passages import Passage, PassageLocation

CARE = (
    "Clean the skimmer once a week and backwash the filter when the gauge reads above one bar. Test the water with the"
    " strips from the shed before anybody swims, and write the result into the book that lies beside the door."
)


def passage(key: int, text: str, title: str = "Pool care", collection: str = "home") -> Passage:
    return Passage(key, collection, f"{key}.md", title, PassageLocation(end=len(text)), text)


def order(*passages: Passage, limit: int = 9) -> list[int]:
    return [each.id for each in distinct_first(passages, limit)]


def test_of_copies_with_one_title_the_first_is_kept() -> None:
    assert order(passage(1, CARE), passage(2, CARE), passage(3, "Ask the contractor."), passage(4, CARE)) == [1, 3]


def test_a_copy_with_another_title_or_in_another_collection_gives_way() -> None:
    copies = passage(2, CARE, title="Old pool care"), passage(3, CARE, collection="other")
    assert order(passage(1, CARE), *copies, passage(4, "Ask the contractor.")) == [1, 4, 2, 3]


def test_another_edition_of_a_long_text_gives_way() -> None:
    edition = CARE.replace("anybody", "anyone")
    assert order(passage(1, CARE), passage(2, edition, title="2024"), passage(3, "Ask.")) == [1, 3, 2]


def test_case_and_punctuation_make_no_difference() -> None:
    assert order(passage(1, CARE), passage(2, CARE.upper().replace(",", " - "))) == [1]


def test_another_number_makes_another_passage() -> None:
    lease = f"{CARE} The rent is 840 euros."
    assert order(passage(1, lease), passage(2, lease.replace("840", "910"))) == [1, 2]


def test_rows_that_differ_in_one_word_are_different() -> None:
    assert order(passage(1, "Circuit A feeds the oven."), passage(2, "Circuit B feeds the oven.")) == [1, 2]


def test_copies_fill_only_what_is_left() -> None:
    copy, other = passage(2, CARE, title="Copy"), passage(3, "Ask the contractor.")
    assert order(passage(1, CARE), copy, other, limit=2) == [1, 3]
    assert order(passage(1, CARE), copy, other, limit=3) == [1, 3, 2]
    assert order(passage(1, CARE), copy, limit=0) == []
