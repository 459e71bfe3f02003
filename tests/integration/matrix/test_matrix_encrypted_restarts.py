"""What lasts over Hearth's restarts in encrypted chats: its keys, its identity, and what it was asked meanwhile."""

import asyncio
from pathlib import Path

import pytest

from adapters.matrix import credentials
from adapters.matrix.adapter import FOLDER
from adapters.matrix.credentials import Credentials
from adapters.matrix.crypto import store
from adapters.matrix.sync import undecryptable
from deploy.dev.element import Peer
from deploy.dev.element.peer import Trust
from deploy.dev.homeserver import SynapseServer
from deploy.dev.homeserver.client import WAIT_S
from tests.fakes.matrix_resident import MatrixInstance
from tests.homeserver import Capture
from tests.integration.matrix.home import END, SOURCE, Chat, Home, decryptions, pointed_at
from tests.integration.matrix.test_identity import assert_chained, served

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def in_order(chat: Chat, *questions: str) -> None:
    """Wait for whole answers to these questions; there are no others, and they came in this order."""
    for question in questions:
        await chat.answered(question)
    await chat.idle()
    assert [pointed_at(shown) for shown in chat.answers()] == list(questions)


async def test_after_a_restart_in_the_middle_of_an_answer_it_ends_in_the_same_message_and_the_missed_follow(
    home: Home, tmp_path: Path
) -> None:
    async with home.another(tmp_path) as resident:
        await resident.start()
        chat = await home.direct(home.ana, resident)
        asked = [await chat.say("Where is the drive?")]
        await chat.answered(asked[0])
        before = await served(home.server, resident.user_id)
        resident.engine.gate.clear()
        asked.append(await chat.say("Where is the drive now?"))
        begun = await chat.hears("You asked", asked[1])
        await resident.stop()
        asked += [await chat.say(f"Where is drive {number}?") for number in (1, 2, 3)]
        await resident.start()
        await in_order(chat, *asked)
        assert chat.answers()[1].event_id == begun.event_id
        assert {(each["failure"], each["shield"]) for each in decryptions(chat)} == {("", "none")}
        # Who looks at the server sees the same chain as before, and so does a client of others' making.
        assert await served(home.server, resident.user_id) == before
        assert_chained(before, resident.user_id, resident.account.device_id)
        trust = await home.ana.trust(resident.user_id, resident.account.device_id)
        assert (trust.signed, trust.changed) == (True, False)


async def test_what_was_asked_in_a_chat_begun_while_hearth_was_down_is_answered_when_it_comes(
    home: Home, tmp_path: Path
) -> None:
    async with home.another(tmp_path) as resident:
        await resident.start()
        await home.direct(home.ben, resident)
        await resident.stop()
        room = await home.ana.direct(resident.user_id, encrypted=True)
        chat = Chat(home.ana, resident, room)
        # Else her client does not know yet to whom it has to give the key.
        await home.ana.until(lambda: home.ana.members[room].get(resident.user_id) == "invite")
        asked = [await chat.say(f"Where is drive {number}?") for number in (1, 2)]
        await resident.start()
        await in_order(chat, *asked)


async def log_in_anew(homeserver: SynapseServer, resident: MatrixInstance) -> None:
    """Another device with the identity that was kept, as `hearth matrix login --again` makes it."""
    folder = resident.folder / FOLDER
    old = credentials.load_credentials(folder)
    resident.account = await homeserver.log_in(resident.account)
    account = resident.account
    new = Credentials(old.homeserver, account.user_id, account.device_id, account.access_token, old.store_key)
    (folder / store.FILE_NAME).unlink()
    credentials.save_credentials(folder, new)
    store.create_store(folder, new).close()


async def signed(person: Peer, resident: MatrixInstance) -> Trust:
    """Wait until somebody's client has the keys of Hearth's device and its owner's signature."""
    device_id = resident.account.device_id
    await person.know(resident.user_id, device_id)
    async with asyncio.timeout(WAIT_S):
        while not (trust := await person.trust(resident.user_id, device_id)).signed:
            await asyncio.sleep(0.1)
    return trust


async def test_a_new_device_of_hearth_is_signed_by_the_identity_that_was_kept(home: Home, tmp_path: Path) -> None:
    async with home.another(tmp_path) as resident:
        await resident.start()
        chat = await home.direct(home.ana, resident)
        await chat.ask("Where is the drive?")
        old = resident.account.device_id
        await resident.stop()
        await log_in_anew(home.server, resident)
        uploads = len(home.capture.made("device_signing/upload"))
        await resident.start()
        trust = await signed(home.ana, resident)
        assert (trust.changed, set(trust.devices)) == (False, {old, resident.account.device_id})
        shown = await chat.ask("Where is the drive now?")
        assert len(home.capture.made("device_signing/upload")) == uploads
        (sent,) = [event for event in home.ana.timeline.events(chat.room) if event["event_id"] == shown.event_id]
        assert sent["decryption"] == {"failure": "", "shield": "none", "shield_reason": ""}


async def test_keys_that_come_late_are_told_of_once_each_and_their_messages_answered_once_also_after_a_restart(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undecryptable, "GRACE_S", 0.3)
    async with home.another(tmp_path) as resident, Capture.before(home.server.url) as late:
        await resident.start()
        eve = await home.come("eve", late.url)
        chat = await home.direct(eve, resident)
        keys = late.faults.postpone("/sendToDevice/m.room.encrypted")
        asked = [await chat.say(f"Where is drive {number}?") for number in (1, 2)]
        notice = await chat.hears("key has not reached me", asked[0])
        assert "Please write it again" in notice.body
        assert "I answer by myself" in notice.body
        assert (notice.kind, notice.mentions) == ("m.notice", {})
        await eve.rotate_room_key(chat.room)
        asked.append(await chat.say("Where is drive 3?"))
        await chat.hears("key has not reached me", asked[2])
        assert "could not decrypt since I started: 3" in (await resident.adapter.health("en"))[-1]
        await resident.stop()
        keys.release()
        await late.until(lambda: all(each.status for each in late.made("sendToDevice/m.room.encrypted")))
        await resident.start()
        await in_order(chat, *asked)
        assert len([shown for shown in chat.said() if "key has not reached me" in shown.body]) == 2


async def test_an_admin_verifies_hearth_in_a_chat_and_reads_so_in_the_figures_and_a_guest_cannot(home: Home) -> None:
    bot = home.resident
    guests = await home.direct(home.ben)
    refused = await home.ben.verify(bot.user_id, bot.account.device_id, guests.room)
    chat = await home.direct(home.ana)
    asked = await home.ana.verify(bot.user_id, bot.account.device_id, chat.room)
    await home.ana.reaches(asked, "ready")
    emoji = await home.ana.compare_emoji(asked)
    shown = await chat.hears("To verify me")
    assert " ".join(emoji) in shown.body
    await home.ana.confirm(asked)
    await home.ana.reaches(asked, "done")
    trust = await home.ana.comes_to_trust(bot.user_id, bot.account.device_id)
    assert (trust.device_verified, trust.changed) == (True, False)
    figures = await chat.command("!stats", "verified by")
    assert f"Matrix: verified by {home.ana.user_id} (" in figures.body
    assert home.ben.user_id not in figures.body
    assert refused.phase in ("requested", "cancelled")
    assert not (await home.ben.trust(bot.user_id)).verified
    assert SOURCE in (await guests.ask("Where is the drive?")).body
    assert END in (await chat.ask("Where is the drive?")).body
