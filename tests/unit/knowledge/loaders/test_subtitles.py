from knowledge.loaders import load_documents
from knowledge.loaders.types import LoadLimits, RawFile

SRT = "1\n00:00:01,000 --> 00:00:02,500\n<i>The router</i>\nis warm.\n\n2\n00:01:05,000 --> 00:01:06,000\nIt stands\n"
VTT = (
    "WEBVTT\n\nNOTE a remark\n\n00:01.000 --> 00:02.000 align:start\n<v Ben>Where is it?</v>\n\n"
    "01:00.000 --> 01:01.000\nWhere is it?\n"
)


def text(name: str, source: str) -> str:
    (document,) = load_documents(RawFile(name, source.encode()), LoadLimits())
    return document.text


def test_cues_become_paragraphs_with_the_time_of_their_beginning() -> None:
    assert text("a.srt", SRT) == "[0:00:01] The router is warm. It stands"
    assert text("a.vtt", VTT) == "[0:00:01] Ben: Where is it?"


def test_a_long_film_has_several_paragraphs() -> None:
    cues = "\n".join(
        f"00:{minute:02}:00,000 --> 00:{minute:02}:02,000\nline {minute} {'x' * 100}\n" for minute in range(12)
    )
    paragraphs = text("a.srt", cues).split("\n\n")
    assert [paragraph[:9] for paragraph in paragraphs] == ["[0:00:00]", "[0:06:00]"]
