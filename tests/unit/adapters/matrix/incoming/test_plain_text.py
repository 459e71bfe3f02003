"""What people write becomes plain text, and whom it means is found in it."""

import time
from typing import Any

import pytest

from adapters.matrix.events import Event
from adapters.matrix.incoming.mentions import BotIdentity, mentions_bot
from adapters.matrix.incoming.parsed_message import ParsedMessage, parse_message
from adapters.matrix.incoming.plain_text import to_plain_text

US = BotIdentity("@hearth:home.example", "Hearth")
NAMES = {"@ana:home.example": "Ana", "@ben:home.example": "Ben [x]"}
REPLY = {"m.relates_to": {"m.in_reply_to": {"event_id": "$up"}}}


def parsed(content: dict[str, Any]) -> ParsedMessage:
    return parse_message(Event("!r:x", "$e", "@ana:x", "m.room.message", content))


def read(body: str, us: BotIdentity = US, **content: Any) -> str:
    said = parsed({"msgtype": "m.text", "body": body, **content})
    return to_plain_text(said, said.typed, us, lambda user: NAMES.get(user, ""))


def html(markup: str) -> dict[str, str]:
    return {"format": "org.matrix.custom.html", "formatted_body": markup}


def pill(user: str = "@hearth:home.example", label: str = "Hearth") -> str:
    return f'<a href="https://matrix.to/#/{user}">{label}</a>'


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("@hearth:home.example where is the key?", "where is the key?"),
        ("@hearth:home.example: where is the key?", "where is the key?"),
        ("@hearth:home.example @hearth:home.example where?", "where?"),
        ("@hearth, where is the key?", "where is the key?"),
        ("@hearth where is the key?", "where is the key?"),
        ("Hearth: where is the key?", "where is the key?"),
        ("hearth, where is the key?", "where is the key?"),
        ("@Hearth: where is the key?", "where is the key?"),
        ("Hearth:where is the key?", "where is the key?"),
        ("@hearth Hearth, where?", "where?"),
        ("Hearth", ""),
        ("@hearth:home.example", ""),
        ("where is the key, @hearth:home.example?", "where is the key?"),
        ("where is the key @hearth", "where is the key"),
        ("did @hearth:home.example say so?", "did Hearth say so?"),
        ("Hearth stones are warm", "Hearth stones are warm"),
        ("Hearth's door squeaks", "Hearth's door squeaks"),
        ("@hearthstone, hi", "@hearthstone, hi"),
        ("@hearth:home.example.evil hi", "@hearth:home.example.evil hi"),
        ("[Hearth](https://matrix.to/#/@hearth:home.example) where?", "where?"),
        ("[@hearth:home.example](https://matrix.to/#/@hearth:home.example), where?", "where?"),
        ("https://matrix.to/#/%40hearth%3Ahome.example where?", "where?"),
        ("ask @ana:home.example and @carol:far.example", "ask Ana and @carol:far.example"),
        ("ask [whoever](https://matrix.to/#/@ana:home.example?via=x) then", "ask Ana then"),
        ("ask [Dan](https://matrix.to/#/@dan:far.example)", "ask Dan"),
        ("ssh user@home.example:22 or user@ana:home.example", "ssh user@home.example:22 or user@ana:home.example"),
        ("see https://matrix.to/#/!r:x/$e?via=y", "see https://matrix.to/#/!r:x/$e?via=y"),
        ("@room come", "@room come"),
        ("Hearth:\nline one\n  line two", "line one\n  line two"),
        ("one\r\ntwo\u2028three", "one\ntwo\nthree"),
        ("\u2066Hearth\u2069:\u200b where\ufeff?", "where?"),
        ("\U000e0049\U000e0067nored instructions", "nored instructions"),
        ("family 👩‍👧, Persian می‌خواهم", "family 👩‍👧, Persian می‌خواهم"),
        ("> quoted on my own\nand asked", "> quoted on my own\nand asked"),
    ],
)
def test_mentions_become_names_and_ours_goes(body: str, text: str) -> None:
    assert read(body) == text


@pytest.mark.parametrize(
    ("body", "markup", "text"),
    [
        ("Hearth where is the key?", f"{pill()} where is the key?", "where is the key?"),
        ("Old Fire: where?", f"{pill(label='Old Fire')}: where?", "where?"),
        ("where is the key, Old Fire?", f"where is the key, {pill(label='Old Fire')}?", "where is the key?"),
        ("Hearth stones?", "<p>Hearth stones?</p>", "Hearth stones?"),
        ("", f"<p>{pill()}, where is<br>the <b>key</b> &amp; lock?</p>", "where is\nthe key & lock?"),
        ("  ", "<mx-reply>old</mx-reply>where?", "where?"),
    ],
)
def test_what_a_link_to_us_shows_is_our_name(body: str, markup: str, text: str) -> None:
    assert read(body, **html(markup)) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("> <@ana:x> the key\n> is here\n\nwhere?", "where?"),
        ("> <@ana:x> the key\nwhere?", "where?"),
        ("> * <@ana:x> waves\n\n> what?\n\nwhere?", "> what?\n\nwhere?"),
        ("> <@ana:x> the key\n\nHearth: where?", "where?"),
        ("> <@ana:x> nothing of my own", "> <@ana:x> nothing of my own"),
        ("> an own quotation\n\nwhere?", "> an own quotation\n\nwhere?"),
    ],
)
def test_the_copy_of_what_is_replied_to_goes(body: str, text: str) -> None:
    assert read(body, **REPLY) == text


def test_only_a_reply_has_such_a_copy() -> None:
    assert read("> <@ana:x> the key\n\nwhere?") == "> <@ana:x> the key\n\nwhere?"


def test_a_name_with_signs_of_patterns_is_only_a_name() -> None:
    assert read("H.e(arth: hi", BotIdentity("@h:x", "H.e(arth")) == "hi"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"body": "Hearth: hi"}, True),
        ({"body": "what does the hearth say"}, True),
        ({"body": "hearthstones, hearth-stones"}, False),
        ({"body": "@hearth:home.example hi"}, True),
        ({"body": "@HEARTH:home.example: hi"}, True),
        ({"body": "@hearth:home.example.evil hi"}, False),
        ({"body": "@hearth:home.example:8448 hi"}, False),
        ({"body": "see https://matrix.to/#/@hearth:home.example"}, True),
        ({"body": "hi there", **html(pill())}, True),
        ({"body": "hi there", **html(pill("%40hearth%3Ahome.example"))}, True),
        ({"body": "hi there", **html('<a href="matrix:u/hearth:home.example?action=chat">x</a>')}, True),
        ({"body": "hi there", "formatted_body": pill()}, False),
        ({"body": "@room hi"}, False),
        ({"body": "Hearth: hi", "m.mentions": {}}, True),
        ({"body": "hearth, hi", "m.mentions": {"user_ids": ["@ana:x"]}}, True),
        ({"body": "@hearth hi", "m.mentions": {}}, True),
        ({"body": "@hearth:home.example hi", "m.mentions": {}}, True),
        ({"body": "Hearth is warm", "m.mentions": {}}, False),
        ({"body": "ask Hearth: where?", "m.mentions": {}}, False),
        ({"body": "hearth://page", "m.mentions": {}}, False),
        ({"body": "@hearthstone hi", "m.mentions": {}}, False),
        ({"body": "`Hearth: hi`", "m.mentions": {}}, False),
        ({"body": "write `@hearth:home.example` there"}, False),
        ({"body": "```\nHearth: hi\n```\nis how"}, False),
        ({"body": "```\nHearth: hi"}, False),
        ({"body": "`one` Hearth `two`"}, True),
        ({"body": "hi", **html(f"<code>{pill()}</code>")}, False),
        ({"body": "hi", **html(f"<code>x</code> {pill()}")}, True),
        ({"body": "hi", **html(pill()), "m.mentions": {"user_ids": ["@ana:x"]}}, False),
        ({"body": "hi", "m.mentions": {"room": True}}, False),
        ({"body": "hi", "m.mentions": {"user_ids": ["@hearth:home.example"]}}, True),
        ({"body": "Hearth: hi", "m.mentions": "everybody"}, True),
    ],
)
def test_whom_a_message_means(content: dict[str, Any], expected: bool) -> None:
    said = parsed(content)
    assert mentions_bot(said, said.typed, US) is expected


def test_what_others_said_to_us_in_the_copy_is_not_said_again() -> None:
    said = parsed({"body": "> <@ana:x> Hearth: where?\n\nI know", **REPLY})
    assert not mentions_bot(said, said.typed, US)


SLOW = [
    "<a href=",
    '<a href="https://matrix.to/#/',
    "<mx-reply>",
    "[",
    "@hearth, ",
    "> <@a:b> x\n",
    " ,",
    "@a:b",
    "<",
    "Hearth ",
    "`",
    "` ",
    "<code>",
    "https://matrix.to/#/a",
]


@pytest.mark.parametrize("piece", SLOW)
@pytest.mark.parametrize("end", ["", "x"])
def test_text_made_to_be_slow_is_read_as_fast_as_any(piece: str, end: str) -> None:
    long = piece * (60_000 // len(piece)) + end
    began = time.perf_counter()
    read(long, **REPLY, **html(long))
    read("", **html(long))
    for content in ({"body": long}, {"body": "hi", **html(long)}):
        said = parsed(content)
        mentions_bot(said, said.typed, US)
    padded = f"@hearth{' ' * 60_000}{end}{piece}"
    read(padded, **html(padded))
    assert time.perf_counter() - began < 2
