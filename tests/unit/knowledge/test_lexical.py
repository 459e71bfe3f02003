import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.lexical import WordStemmer, split_words, strip_accents
from knowledge.stop_words import STOP_WORDS


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
    words = [word for word in split_words(asked) if word not in STOP_WORDS]
    assert words
    assert all(lexicon.stem_forms(word, ["en", "fr"]) & found for word in words)


def test_a_language_without_a_stemmer_keeps_its_words() -> None:
    assert WordStemmer().stem_text("Ærlige ord, приклади", "uk") == "ærlige ord приклади"


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
        ("zero\u200bwidth \ufeffmark \u200fleft", ["zerowidth", "mark", "left"]),
    ],
)
def test_marks_belong_to_words_and_scripts_without_spaces_come_in_pairs(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_points_that_people_leave_out_do_not_matter_and_voicing_marks_do() -> None:
    assert strip_accents("שָׁלוֹם") == "שלום"
    assert strip_accents("مُحَمَّد") == "محمد"
    assert strip_accents("ガ") != strip_accents("カ")
    assert strip_accents("हिन्दी") == "हिन्दी"


@given(st.text())
def test_every_text_is_split_into_words_that_hold_its_letters(text: str) -> None:
    assert all(word.strip() for word in split_words(text))


def test_the_codes_of_a_text_are_dates_numbers_and_compounds() -> None:
    text = "Wi-Fi since 5 March 2025, phone +49 (0)30 123 45 67; again on 5/3/2025."
    assert WordStemmer().stem_codes(text, "fr").split() == ["2025·03·05", "2025·03", "·03·05", "301234567", "wif"]
    assert WordStemmer().stem_codes("Only words here.", "en") == ""


def test_the_arabic_article_is_no_part_of_a_stem() -> None:
    assert WordStemmer().stem_text("المفتاح", "ar") == WordStemmer().stem_text("مفتاح", "ar")
