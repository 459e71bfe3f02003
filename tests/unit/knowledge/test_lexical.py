import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.lexical import TERMS, Lexicon, fold, match_expression, words


def test_words_are_runs_of_letters_and_digits_in_lower_case() -> None:
    assert words("The NAS_backup, port 8096/tcp: l'étagère n°3!") == [
        "the", "nas", "backup", "port", "8096", "tcp", "l", "étagère", "n", "3",
    ]  # fmt: skip


def test_folding_drops_accents_however_they_are_written() -> None:
    assert fold("étagère") == fold("e\u0301tage\u0300re") == "etagere"


@pytest.mark.parametrize(
    ("language", "stored", "asked"),
    [("en", "The drives are stored", "storing a drive"), ("fr", "Les sauvegardes nocturnes", "sauvegarde nocturne")],
)
def test_a_question_meets_a_text_in_other_forms_of_its_words(language: str, stored: str, asked: str) -> None:
    lexicon = Lexicon()
    found = set(lexicon.indexed(stored, language).split())
    assert all(term & found for term in lexicon.terms(asked, ["en", "fr"]))


def test_a_language_without_a_stemmer_keeps_its_words() -> None:
    assert Lexicon().indexed("Ærlige ord, приклади", "uk") == "ærlige ord приклади"


def test_words_that_only_ask_are_no_terms() -> None:
    lexicon = Lexicon()
    assert lexicon.terms("Where is the drive?", ["en"]) == [frozenset({"drive"})]
    assert lexicon.terms("Où est l'or ?", ["fr"]) == [frozenset({"or"})]
    assert lexicon.terms("And where is it?", ["en"]) == []


def test_a_pasted_page_is_cut_to_its_first_content_words() -> None:
    assert len(Lexicon().terms(" ".join(f"word{n}" for n in range(5000)), ["en"])) == TERMS


@given(st.text())
def test_no_question_whatever_is_a_broken_query(question: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5 (text)")
    connection.execute("INSERT INTO words VALUES ('a and or not near')")
    expression = match_expression(Lexicon().terms(question, ["en", "fr"]))
    if expression:
        connection.execute("SELECT rowid FROM words WHERE words MATCH ?", (expression,)).fetchall()
    connection.close()


def test_syntax_of_the_index_is_taken_as_words() -> None:
    terms = Lexicon().terms('text : "backup" AND NOT drive* ^ {x} NEAR(a, 2)', ["en"])
    assert match_expression(terms) == '"2" OR "backup" OR "drive" OR "near" OR "text" OR "x"'
