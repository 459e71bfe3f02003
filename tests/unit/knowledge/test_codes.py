import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.codes import find_codes, find_compounds, find_numbers


def numbers(text: str) -> list[str]:
    return [spelling for number in find_numbers(text) for spelling in number.spellings]


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("WP-150-30", "WP 150 30"),
        ("WP150-30", "WP 150 30"),
        ("wp_150_30", "wp150 30"),
        ("192.168.1.42", "192 168 1 42"),
        ("7590AX", "7590 AX"),
        ("v2.3.1", "2 3 1"),
        ("2.3.1", "v2 3 1"),
        ("3,5", "3 5"),
        ("aa:bb:0c:dd:ee:ff", "aa bb 0c dd ee ff"),
    ],
)
def test_a_code_is_known_by_its_words_in_order(text: str, spelling: str) -> None:
    (code,) = find_codes(f"The {text}, as written.")
    assert spelling in code.spellings


@pytest.mark.parametrize("text", ["wi-fi", "and/or", "2025", "100 200 300", "well-known word"])
def test_words_and_single_numbers_are_no_codes(text: str) -> None:
    assert list(find_codes(text)) == []


@pytest.mark.parametrize(
    ("text", "identifies"),
    [
        ("WP-300-30", True),
        ("B00-17-33", True),
        ("10.0.1.42", True),
        ("v1.2.3", False),
        ("1.2.3", False),
        ("A4", False),
        ("5-year", False),
        ("24/7", False),
    ],
)
def test_part_numbers_and_addresses_belong_to_one_thing(text: str, identifies: bool) -> None:
    assert [code.identifies for code in find_codes(text)] == [identifies]


@pytest.mark.parametrize(
    "written",
    ["+49 (0)30 1234567", "+49 30 123 45 67", "0049 30 1234567", "030/1234567", "(030) 123-4567", "0301234567"],
)
def test_a_phone_number_is_the_same_however_it_is_grouped(written: str) -> None:
    assert numbers(f"Tel.: {written}.") == ["301234567"]


def test_numbers_of_other_countries_and_accounts_are_wholes_too() -> None:
    assert numbers("+33 1 23 45 67 89") == numbers("01.23.45.67.89") == ["123456789"]
    assert numbers("555 0137") == numbers("555-0137") == ["5550137"]
    assert numbers("DE89 3704 0044 0532 0130 00")[0] == numbers("DE89370400440532013000")[0]
    assert numbers("1 000 000") == ["1000000"]


@pytest.mark.parametrize("text", ["192.168.100.142", "100\t5\t1203\t100\t5", "1 2 3 4 5 6 7 8", "2025", "12345"])
def test_addresses_columns_and_short_numbers_are_no_phone_numbers(text: str) -> None:
    assert numbers(text) == []


def test_a_compound_with_a_short_piece_is_one_word_as_well() -> None:
    found = [compound.spellings for compound in find_compounds("Wi-Fi, e-mail, an X-ray and the tool-box, a-t-il")]
    assert found == [("WiFi",), ("email",), ("Xray",)]


@given(st.text())
def test_every_text_has_codes_that_stand_where_they_say(text: str) -> None:
    for code in (*find_codes(text), *find_numbers(text), *find_compounds(text)):
        assert 0 <= code.start < code.end <= len(text)
        assert code.spellings
        assert not any('"' in spelling for spelling in code.spellings)
