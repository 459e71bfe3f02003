import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.lexical import MAX_QUERY_TERMS, WordStemmer, fts5_query, split_words, strip_accents


def test_words_are_runs_of_letters_and_digits_in_lower_case() -> None:
    assert split_words("The NAS_backup, port 8096/tcp: l'étagère n°3!") == [
        "the", "nas", "backup", "port", "8096", "tcp", "l", "étagère", "n", "3",
    ]  # fmt: skip


def test_folding_drops_accents_however_they_are_written() -> None:
    assert strip_accents("étagère") == strip_accents("e\u0301tage\u0300re") == "etagere"


@pytest.mark.parametrize(
    ("language", "stored", "asked"),
    [("en", "The drives are stored", "storing a drive"), ("fr", "Les sauvegardes nocturnes", "sauvegarde nocturne")],
)
def test_a_question_meets_a_text_in_other_forms_of_its_words(language: str, stored: str, asked: str) -> None:
    lexicon = WordStemmer()
    found = set(lexicon.stem_text(stored, language).split())
    assert all(term & found for term in lexicon.query_terms(asked, ["en", "fr"]))


def test_a_language_without_a_stemmer_keeps_its_words() -> None:
    assert WordStemmer().stem_text("Ærlige ord, приклади", "uk") == "ærlige ord приклади"


def test_words_that_only_ask_are_no_terms() -> None:
    lexicon = WordStemmer()
    assert lexicon.query_terms("Where is the drive?", ["en"]) == [frozenset({"drive"})]
    assert lexicon.query_terms("Où est l'or ?", ["fr"]) == [frozenset({"or"})]
    assert lexicon.query_terms("And where is it?", ["en"]) == []


def test_a_pasted_page_is_cut_to_its_first_content_words() -> None:
    assert len(WordStemmer().query_terms(" ".join(f"word{n}" for n in range(5000)), ["en"])) == MAX_QUERY_TERMS


@given(st.text())
def test_no_question_whatever_is_a_broken_query(question: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5 (text)")
    connection.execute("INSERT INTO words VALUES ('a and or not near')")
    expression = fts5_query(WordStemmer().query_terms(question, ["en", "fr"]))
    if expression:
        connection.execute("SELECT rowid FROM words WHERE words MATCH ?", (expression,)).fetchall()
    connection.close()


def test_syntax_of_the_index_is_taken_as_words() -> None:
    terms = WordStemmer().query_terms('text : "backup" AND NOT drive* ^ {x} NEAR(a, 2)', ["en"])
    assert fts5_query(terms) == '"2" OR "backup" OR "drive" OR "near" OR "text" OR "x"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("தமிழ் நூல்", ["தமிழ்", "நூல்"]),
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        ("مُحَمَّد", ["مُحَمَّد"]),
        ("地下室的钥匙", ["地下", "下室", "室的", "的钥", "钥匙"]),
        ("物置の鍵", ["物置", "の", "鍵"]),
        ("ガラス", ["ガラ", "ラス"]),
        ("ห้องใต้ดิน", ["ห้อ", "อง", "งใ", "ใต้", "ต้ดิ", "ดิน"]),
        ("지하실의 열쇠", ["지하", "하실", "실의", "열쇠"]),
        ("USB線2本", ["usb", "線", "2", "本"]),
        ("soft\u00adhyphen, می\u200cخواهم", ["softhyphen", "میخواهم"]),
    ],
)
def test_marks_belong_to_words_and_scripts_without_spaces_come_in_pairs(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_points_that_people_leave_out_do_not_matter_and_voicing_marks_do() -> None:
    assert strip_accents("שָׁלוֹם") == "שלום"
    assert strip_accents("مُحَمَّد") == "محمد"
    assert strip_accents("ガ") != strip_accents("カ")
    assert strip_accents("हिन्दी") == "हिन्दी"


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("地下室的钥匙在哪里？", {"地下", "下室", "钥匙"}),
        ("物置の鍵はどこですか", {"物置", "鍵"}),
        ("どこですか", {"どこ", "こで", "です", "すか"}),
    ],
)
def test_the_grammar_of_chinese_and_japanese_questions_is_no_term(question: str, terms: set[str]) -> None:
    found = WordStemmer().query_terms(question, ["en"])
    assert {form for term in found for form in term} == {strip_accents(term) for term in terms}


@given(st.text())
def test_every_text_is_split_into_words_that_hold_its_letters(text: str) -> None:
    assert all(word.strip() for word in split_words(text))
