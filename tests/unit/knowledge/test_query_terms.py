import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.lexical import WordStemmer, fts5_query, strip_accents
from knowledge.query_terms import MAX_QUERY_TERMS, QueryTerm, asking_clause, question_terms

STORY = (
    "ok so I was just about to clean the gutters since the weather is finally nice and Tom said he put it back after he"
    " did the plums last year but honestly I can't remember a thing, where did the tall ladder end up"
)


def terms(question: str, *languages: str) -> list[QueryTerm]:
    return question_terms(question, languages or ("en",), WordStemmer())


def forms(question: str, *languages: str) -> set[str]:
    return {form for term in terms(question, *languages) for form in term.forms}


def test_words_that_only_ask_are_no_terms() -> None:
    assert [term.forms for term in terms("Where is the drive?")] == [frozenset({"drive"})]
    assert [term.forms for term in terms("Où est l'or ?", "fr")] == [frozenset({"or"})]
    assert forms("Wo ist der Schlüssel?", "de") == {"schlussel"}
    assert terms("And where is it?") == []


def test_a_pasted_page_is_cut_to_its_first_content_words() -> None:
    page = " ".join(f"word{chr(97 + n // 26 % 26)}{chr(97 + n % 26)}{chr(97 + n // 676)}" for n in range(5000))
    assert len(terms(page)) == MAX_QUERY_TERMS


@given(st.text())
def test_no_question_whatever_is_a_broken_query(question: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'ascii')")
    connection.execute("INSERT INTO words VALUES ('a and or not near')")
    found = terms(question, "en", "fr")
    for expression in (fts5_query(term.forms for term in found), fts5_query(part for t in found for part in t.parts)):
        if expression:
            connection.execute("SELECT rowid FROM words WHERE words MATCH ?", (expression,)).fetchall()
    connection.close()


def test_syntax_of_the_index_is_taken_as_words() -> None:
    found = terms('text : "backup" AND NOT drive* ^ {x} NEAR(a, 2)')
    assert fts5_query(term.forms for term in found) == '"2" OR "backup" OR "drive" OR "near" OR "text" OR "x"'


@pytest.mark.parametrize(
    ("question", "pairs"),
    [
        ("地下室的钥匙在哪里？", {"地下", "下室", "钥匙"}),
        ("物置の鍵はどこですか", {"物置", "鍵"}),
        ("どこですか", {"どこ", "こで", "です", "すか"}),
        ("水压是多少？", {"水压"}),
    ],
)
def test_the_grammar_of_chinese_and_japanese_questions_is_no_term(question: str, pairs: set[str]) -> None:
    assert forms(question) == {strip_accents(pair) for pair in pairs}


@pytest.mark.parametrize("question", ["Where is WP-150-30?", "Where is wp 150-30?", "Where is WP150-30?"])
def test_a_code_is_one_term_however_it_is_joined(question: str) -> None:
    assert "wp 150 30" in forms(question) or {"wp", "150 30"} <= forms(question)
    assert not {"150", "30"} & forms(question)


def test_a_word_in_a_code_is_looked_up_by_itself() -> None:
    assert forms("lease-2024-annex-b") >= {"leas 2024 annex b", "leas", "annex"}
    assert "b" not in forms("lease-2024-annex-b")


def test_only_a_part_number_or_an_address_without_words_identifies() -> None:
    asked = "What is WP-300-30, 10.0.0.9, lease-2024-annex-b, v1.2.3 or a 5-year plan?"
    identifying = [sorted(term.forms)[0] for term in terms(asked) if term.identifies]
    assert identifying == ["wp 300 30", "10 0 0 9"]


def test_a_date_is_one_term_and_its_month_stands_in_when_it_is_nowhere() -> None:
    (term,) = terms("What did we do on 5 March 2025?")
    assert term.forms == {"2025·03·05"}
    assert term.parts == (frozenset({"2025·03"}), frozenset({"·03·05"}))


@pytest.mark.parametrize(
    ("question", "phrase"),
    [
        ("What does circuit C feed?", "circuit c"),
        ("What does the circuit d feed?", ""),
        ("What is on circuit d?", "circuit d"),
        ("Where is the vitamin D?", "vitamin d"),
        ("What is in annex b", "annex b"),
        ("What lies on shelf 3?", "shelf 3"),
        ("When did world war I end", ""),
        ("What of World War I?", "war i"),
        ("Andrews, H. and Patterson, C.", ""),
        ("WHERE IS BIN C LEFT", ""),
    ],
)
def test_a_letter_or_number_after_a_noun_says_which_one(question: str, phrase: str) -> None:
    assert [form for form in forms(question) if " " in form] == ([phrase] if phrase else [])


@pytest.mark.parametrize(
    ("question", "word", "counts"),
    [
        ("Où est l'eau ?", "l", False),
        ("I don't know Tom's key", "s", False),
        ("I don't know Tom's key", "i", False),
        ("What about C?", "c", True),
        ("Who looks after IT?", "it", True),
        ("Is it warm?", "it", False),
        ("Where does Will sleep in May?", "will", True),
        ("Where does Will sleep in May?", "may", True),
        ("Will it rain?", "will", False),
        ("Quand nettoie-t-on la piscine en été ?", "ete", True),
        ("Quand la piscine a-t-elle été nettoyée ?", "ete", False),
    ],
)
def test_a_stop_word_that_names_a_thing_counts(question: str, word: str, counts: bool) -> None:
    assert (word in forms(question, "en", "fr")) is counts


def test_compounds_are_looked_up_apart_and_together() -> None:
    assert forms("Where is the Wi-Fi box?") == {"wi fi", "wifi", "box"}
    assert forms("Où est le tire-bouchon ?", "fr") >= {"tir", "bouchon"}


def test_the_clause_that_asks_is_found_in_a_story() -> None:
    assert asking_clause(STORY) == "where did the tall ladder end up"
    assert asking_clause(f"{STORY}? Thanks a million!") == "where did the tall ladder end up?"
    asked = "is it thursday that the paper goes out or not"
    rest = "i always mix it up with glass, plastic, organic and all those other things they want us to sort"
    assert asking_clause(f"good morning! {asked}, {rest}") == asked


@pytest.mark.parametrize(
    "question",
    [
        "On which shelf is the backup drive?",
        "gutters ladder plums weather garage shed attic cellar roof window door fence gate path",
        "",
    ],
)
def test_a_short_question_and_a_list_have_no_clause(question: str) -> None:
    assert asking_clause(question) == ""
