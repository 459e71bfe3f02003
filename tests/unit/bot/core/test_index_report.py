import pytest

from bot.core.index_report import left_out_lines, report_text
from bot.core.texts import Language
from knowledge.passages import FailedDocument, LeftOut, ReindexReport


def test_kinds_are_counted_over_all_collections_the_most_frequent_first() -> None:
    left_out = [LeftOut("a", "kind", ".xyz", 2), LeftOut("b", "kind", ".xyz", 1), LeftOut("b", "kind", "", 4)]
    assert list(left_out_lines(left_out, "en")) == [
        "Left out, because their kind is not read: 7 files (4 without a suffix, 3 .xyz).",
    ]


def test_of_many_names_the_most_frequent_are_told() -> None:
    (line,) = left_out_lines([LeftOut("a", "kind", f".{number}", 20 - number) for number in range(9)], "en")
    assert line.endswith("(20 .0, 19 .1, 18 .2, 17 .3, 16 .4, …).")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_each_cause_has_a_sentence_of_its_own(language: Language) -> None:
    left_out = [
        LeftOut("home", "kind", ".xyz", 1),
        LeftOut("home", "link", "manuals/", 1),
        LeftOut("home", "link", "", 400),
        LeftOut("home", "junk", "node_modules/", 3),
        LeftOut("home", "special", "", 2),
    ]
    junk, kind, link, special = left_out_lines(left_out, language)
    assert ".xyz" in kind
    assert "3 node_modules/" in junk
    assert "401" in link
    assert "home/manuals/" in link
    assert "2" in special


def test_documents_that_were_read_in_part_are_named_with_the_reason() -> None:
    parts = tuple(FailedDocument("home", f"{number}.log", "Only its end was read.") for number in range(12))
    text = report_text(ReindexReport(partly_read=parts), "en", "!")
    assert "- home/0.log, read in part: Only its end was read." in text
    assert text.endswith("- and 2 more, read in part")
