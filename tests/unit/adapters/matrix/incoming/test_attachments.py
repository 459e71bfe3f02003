"""Files of messages: read from what their messages say, fetched within limits, decrypted."""

import asyncio
from typing import Any

import pytest
from nio.crypto.attachments import encrypt_attachment

from adapters.delivery.errors import TransientFailure
from adapters.matrix.events import Event
from adapters.matrix.homeserver import RequestRefused
from adapters.matrix.incoming.attachments import fetch_attachments, files_before
from adapters.matrix.incoming.file_info import FileInfo, safe_file_name
from adapters.matrix.incoming.parsed_message import ParsedMessage, parse_message
from bot.core.messages import Attachment
from tests.fakes.wire import FakeHomeserver

URI = "mxc://home.example/abc"
LIMIT = 1000


def content(**more: Any) -> dict[str, Any]:
    return {"msgtype": "m.file", "body": "notes.txt", "url": URI, **more}


def parsed(content: dict[str, Any], event_id: str = "$e", sender: str = "@ana:x") -> ParsedMessage:
    return parse_message(Event("!r:x", event_id, sender, "m.room.message", content))


def file(**more: Any) -> FileInfo:
    found = parsed(content(**more)).file
    assert found is not None
    return found


async def fetched(wire: FakeHomeserver, *files: FileInfo, within_s: float = 5) -> list[Attachment]:
    return list(await fetch_attachments(wire, files, LIMIT, asyncio.get_running_loop().time() + within_s))


async def test_a_file_is_fetched() -> None:
    wire = FakeHomeserver()
    wire.media[URI] = b"the key is under the mat"
    assert await fetched(wire, file()) == [Attachment("notes.txt", "text/plain", b"the key is under the mat")]


async def test_of_a_picture_only_the_name_comes() -> None:
    wire = FakeHomeserver()
    found = await fetched(wire, file(msgtype="m.image", body="cat"), file(info={"mimetype": "image/png"}))
    assert found == [Attachment("cat", "image/unknown", b""), Attachment("notes.txt", "image/png", b"")]
    assert wire.faults.requests == []


async def test_a_file_over_the_limit_is_not_fetched_to_its_end() -> None:
    wire = FakeHomeserver()
    wire.media[URI] = b"x" * (LIMIT + 1)
    told, grown = await fetched(wire, file(info={"size": LIMIT + 1}), file(info={"size": 3}))
    assert told == grown == Attachment.too_large("notes.txt", LIMIT)
    assert wire.faults.requests == ["download"]


@pytest.mark.parametrize("error", [RequestRefused(404, "M_NOT_FOUND", {}), TransientFailure()])
async def test_a_file_that_does_not_come_is_told_apart(error: Exception) -> None:
    wire = FakeHomeserver()
    wire.faults.always("download", error)
    assert await fetched(wire, file()) == [Attachment.not_fetched("notes.txt")]


async def test_a_file_that_does_not_come_in_time_holds_up_nothing() -> None:
    wire = FakeHomeserver()
    with wire.faults.holding("download"):
        assert await fetched(wire, file(), within_s=0.01) == [Attachment.not_fetched("notes.txt")]


@pytest.mark.parametrize("uri", ["", "https://evil.example/x", "mxc://a", "mxc://a/b/../c", "mxc://a/b?c", 5])
async def test_an_address_that_is_none_is_never_asked_for(uri: object) -> None:
    wire = FakeHomeserver()
    assert await fetched(wire, file(url=uri)) == [Attachment.not_fetched("notes.txt")]
    assert wire.faults.requests == []


def locked(data: bytes, **changed: Any) -> tuple[bytes, FileInfo]:
    secret, keys = encrypt_attachment(data)
    return secret, file(url=None, file={**keys, "url": URI, **changed})


async def test_an_encrypted_file_is_decrypted() -> None:
    wire = FakeHomeserver()
    wire.media[URI], sent = locked(b"secret")
    assert wire.media[URI] != b"secret"
    assert await fetched(wire, sent) == [Attachment("notes.txt", "text/plain", b"secret")]


@pytest.mark.parametrize(
    "changed",
    [
        {"hashes": {"sha256": "A" * 43}},
        {"hashes": {"sha256": "ä"}},
        {"hashes": {}},
        {"key": {"k": "short"}},
        {"key": {"k": "A"}},
        {"key": "none"},
        {"iv": ""},
        {"iv": "/" * 44},
        {"iv": 7},
    ],
)
async def test_an_encrypted_file_that_is_not_what_was_sent_counts_as_not_fetched(changed: dict[str, Any]) -> None:
    wire = FakeHomeserver()
    wire.media[URI], sent = locked(b"secret", **changed)
    assert await fetched(wire, sent) == [Attachment.not_fetched("notes.txt")]


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("notes.txt", "notes.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\secret\\notes.txt", "notes.txt"),
        ("a\nb\t c.txt", "a b c.txt"),
        ("exe\u202etxt.pdf", "exetxt.pdf"),
        ("..", "file"),
        ("", "file"),
        ("/", "file"),
        (".bashrc", "bashrc"),
        ("n" * 300 + ".pdf", "n" * 96 + ".pdf"),
    ],
)
def test_names_are_only_names(told: str, name: str) -> None:
    assert safe_file_name(told) == name


@pytest.mark.parametrize(
    ("more", "media_type"),
    [
        ({}, "text/plain"),
        ({"info": {"mimetype": "application/pdf; charset=x"}}, "application/pdf"),
        ({"info": {"mimetype": "application/octet-stream"}}, "text/plain"),
        ({"info": {"mimetype": "application/vnd.hearth.not-fetched"}}, "text/plain"),
        ({"info": {"mimetype": "a b"}, "body": "x"}, "application/octet-stream"),
        ({"info": []}, "text/plain"),
        ({"filename": "a.pdf", "body": "what is this?"}, "application/pdf"),
    ],
)
def test_what_kind_of_file_it_is(more: dict[str, Any], media_type: str) -> None:
    assert file(**more).media_type == media_type


@pytest.mark.parametrize("size", [True, -5, "7", 1.5, None])
def test_a_size_that_is_none_is_not_known(size: object) -> None:
    assert file(info={"size": size}).size_bytes == -1


def test_captions_and_bare_files() -> None:
    assert parsed(content(filename="notes.txt", body="see this")).caption == "see this"
    assert parsed(content(filename="notes.txt")).caption == parsed(content(filename=7)).caption == ""
    assert parsed(content()).is_bare_file
    assert not parsed(content(filename="notes.txt", body="see this")).is_bare_file
    assert not parsed({"msgtype": "m.text", "body": "notes.txt"}).is_bare_file
    assert not parsed({"msgtype": "m.audio", "body": "voice.ogg", "org.matrix.msc3245.voice": {}}).is_bare_file
    assert parsed({"msgtype": "m.text", "body": "notes.txt"}).file is None


def test_files_put_down_are_those_since_their_author_last_wrote() -> None:
    def sent(event_id: str, sender: str, **what: Any) -> ParsedMessage:
        return parsed(what or content(body=f"{event_id}.txt"), event_id, sender)

    last = [
        sent("$old", "@ana:x"),
        sent("$text", "@ana:x", msgtype="m.text", body="what does it say?"),
        sent("$a", "@ana:x"),
        sent("$answer", "@hearth:x", msgtype="m.text", body="It says much."),
        sent("$bens", "@ben:x"),
        sent("$b", "@ana:x"),
    ]
    assert [file.name for file in files_before(last, "@ana:x", 4)] == ["$a.txt", "$b.txt"]
    assert [file.name for file in files_before(last, "@ana:x", 1)] == ["$b.txt"]
    assert [file.name for file in files_before(last, "@ben:x", 4)] == ["$bens.txt"]
    assert files_before(last, "@carol:x", 4) == []
