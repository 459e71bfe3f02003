from hypothesis import given
from hypothesis import strategies as st

from models.detokenize import Utf8Decoder


@given(st.text(max_size=30), st.data())
def test_any_cut_of_the_bytes_gives_the_same_text_and_whole_characters(text: str, data: st.DataObject) -> None:
    encoded = text.encode("utf-8", errors="replace")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(encoded)), max_size=8)))
    decoder = Utf8Decoder()
    pieces = [decoder.push_bytes(encoded[a:b]) for a, b in zip([0, *cuts], [*cuts, len(encoded)], strict=True)]
    assert "".join(pieces) == encoded.decode()
    assert all("�" not in piece for piece in pieces) or "�" in encoded.decode()


@given(st.binary(max_size=30))
def test_bytes_that_are_no_text_never_fail(data: bytes) -> None:
    decoder = Utf8Decoder()
    whole = data.decode("utf-8", errors="replace")
    assert decoder.push_bytes(data) in (whole, whole.removesuffix("�"))


def test_a_character_that_is_cut_is_left_out() -> None:
    assert Utf8Decoder().push_bytes("Café".encode()[:-1]) == "Caf"
