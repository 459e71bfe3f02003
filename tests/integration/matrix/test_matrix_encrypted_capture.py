"""All that Hearth sends while it lives in an encrypted room, as the homeserver sees it: nothing that anybody said."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from models.engine import EngineFailed
from tests.homeserver import Request
from tests.integration.matrix.home import DOCUMENT, Chat, Home

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUTSIDE = {"algorithm", "ciphertext", "device_id", "sender_key", "session_id", "m.relates_to"}
RELATION = {"rel_type", "event_id", "is_falling_back", "m.in_reply_to"}
ASKED = {"send", "typing", "receipt", "redact", "members", "event", "messages", "context", "relations"}
PNG = b"\x89PNG\r\n\x1a\n"
NAMES = ("last-day", "kitchen")
SAID: tuple[str, ...] = (
    "Where is the drive",
    "Quokka",
    "shelf Heron",
    "ladder",
    "household",
    "Hello! ",
    "Commands",
    "That is all",
)
SAID = (*SAID, "Stopped", "Queue: ", "could not answer", "Only admins", "Pangolin", "To verify me", *NAMES)
"""Words of all kinds of messages, and names of files and rooms: none so short that a ciphertext has it by chance."""

STOP, AGAIN = "\N{OCTAGONAL SIGN}", "\N{BLACK UNIVERSAL RECYCLING SYMBOL}"


async def everything(home: Home, chat: Chat) -> None:
    """What can happen in a room: answers, edits, files, commands, pictures, failures, reactions, a verification."""
    bot, engine, ana = home.resident.user_id, home.resident.engine, home.ana
    root = await chat.ask("Where is the drive, Quokka? At length, in the kitchen: at length.", mentions=[bot])
    await chat.ask("Where is the drive?", mentions=[bot], thread=await chat.say("About Quokka"))
    await ana.send_encrypted_file(chat.room, "Pangolin.txt", b"Pangolins eat ants.")
    await chat.hears("That is all", await chat.say("What does the Pangolin eat?", reply_to=root.event_id))
    for command in ("!help", "!sources", "!stats", "!reindex", "!nothing", "!stop"):
        await chat.say(command)
    await chat.hears("nothing to stop")
    await ana.shown(chat.room, lambda shown: shown.kind == "m.image")
    await chat.seen_by(home.ben).command("!stats", "Only admins may use !stats.")
    with home.held():
        begun = await chat.hears("You asked", await chat.say("Where is the drive, Quokka?", mentions=[bot]))
        await ana.react(chat.room, begun.event_id, STOP)
        await chat.hears("Stopped.")
        failing = await chat.say("Where is the drive now?", mentions=[bot])
        await chat.hears("You asked", failing)
        engine.fails_with = EngineFailed("Quokka")
    await chat.hears("The model could not answer", failing)
    engine.fails_with = None
    await ana.react(chat.room, begun.event_id, AGAIN)
    await ana.until(lambda: len([shown for shown in chat.answers() if "drive, Quokka?" in shown.body]) == 3)
    await chat.idle()
    asked = await ana.verify(bot, home.resident.account.device_id, chat.room)
    await ana.reaches(asked, "ready")
    await ana.compare_emoji(asked)
    await chat.hears("To verify me")


def bodies(requests: list[Request]) -> Iterator[tuple[str, str]]:
    """What each request carries, and its path, as texts; what was uploaded as it is."""
    for request in requests:
        body: Any = request.body
        text = body.decode("latin-1") if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False)
        yield f"{request.path} {request.query}", text


async def test_nothing_that_was_said_in_an_encrypted_room_leaves_in_plain(home: Home) -> None:
    chat = await home.room(home.ana, home.ben)
    await chat.hears("Hello! ")
    await everything(home, chat)
    sent = home.capture.sent(chat.room)
    assert {request.event[1] for request in sent if request.event} == {"m.room.encrypted"}
    assert len(sent) > 20
    assert {key for request in sent for key in request.body} == OUTSIDE
    assert {key for request in sent for key in request.body.get("m.relates_to", {})} <= RELATION
    assert set(touched(home, chat)) <= ASKED
    for path, text in bodies(home.capture.requests):
        found = [word for word in SAID if word in f"{path} {text}"]
        assert not found, path
    # What was looked for was there to be told.
    whole = " ".join([DOCUMENT, *(body for shown in chat.said() for body in shown.bodies)])
    assert all(word in whole for word in SAID if word not in NAMES)


def touched(home: Home, chat: Chat) -> Iterator[str]:
    """What Hearth asked of the room."""
    for request in home.capture.requests:
        _, found, rest = request.path.partition(f"/rooms/{quote(chat.room, safe='')}/")
        if found:
            yield rest.partition("/")[0]


async def test_what_is_uploaded_for_an_encrypted_room_is_a_ciphertext_that_its_people_can_open(home: Home) -> None:
    chat = await home.direct(home.ana)
    await chat.ask("Where is the drive?")
    await chat.command("!stats", "Queue:")
    shown = await home.ana.shown(chat.room, lambda shown: shown.kind == "m.image")
    (upload,) = home.capture.made("/media/v3/upload$", "POST")[-1:]
    assert upload.answer["content_uri"] == shown.content["file"]["url"]
    assert isinstance(upload.body, bytes)
    assert not upload.body.startswith(PNG)
    assert not upload.query
    assert (await home.ana.read_encrypted_file(shown.content)).startswith(PNG)
