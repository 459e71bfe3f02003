from collections.abc import Awaitable, Callable

import pytest

from deploy.dev.element import Peer
from deploy.dev.element.process import CallFailed
from deploy.dev.homeserver import SynapseServer, contents
from tests.homeserver import Capture

EnterEncrypted = Callable[..., Awaitable[Peer]]


async def _together(first: Peer, second: Peer) -> str:
    """An encrypted direct chat in which both are, and the first one knows it."""
    room = await first.direct(second.user_id, encrypted=True)
    await second.until(lambda: second.invites.get(room) == first.user_id)
    await second.join(room)
    await first.until(lambda: first.members.get(room, {}).get(second.user_id) == "join")
    await first.know(second.user_id, second.account.device_id)
    await second.know(first.user_id, first.account.device_id)
    return room


async def test_two_peers_talk_encrypted(homeserver: SynapseServer, enter_encrypted: EnterEncrypted) -> None:
    ana, ben = await enter_encrypted(homeserver, "ana"), await enter_encrypted(homeserver, "ben")
    room = await _together(ana, ben)
    question = await ana.say(room, "Where is the boiler manual?", mentions=[ben.user_id])
    heard = await ben.wait_for(lambda event: event["event_id"] == question and event["type"] == "m.room.message")
    assert heard["content"]["body"] == "Where is the boiler manual?"
    assert heard["decryption"] == {"failure": "", "shield": "none", "shield_reason": ""}
    answer = await ben.say(room, "In", thread=question)
    await ben.edit(room, answer, "In the drawer")
    told = await ana.shown(room, lambda shown: shown.body == "In the drawer")
    assert (told.thread, told.bodies) == (question, ["In", "In the drawer"])
    await ana.react(room, answer, "\N{THUMBS UP SIGN}")
    await ben.shown(room, lambda shown: shown.reactions == [(ana.user_id, "\N{THUMBS UP SIGN}")])
    kinds = {event["type"] for event in await ana.history(room)}
    assert "m.room.encrypted" in kinds
    assert "m.room.message" not in kinds


async def test_a_peer_sees_who_types_and_who_has_read(
    homeserver: SynapseServer, enter_encrypted: EnterEncrypted
) -> None:
    ana, ben = await enter_encrypted(homeserver, "ana"), await enter_encrypted(homeserver, "ben")
    room = await _together(ana, ben)
    said = await ana.say(room, "Anybody there?")
    await ben.mark_read(room, said)
    await ben.set_typing(room)
    await ana.until(lambda: ana.receipts.get((room, ben.user_id)) == said)
    await ana.until(lambda: ana.typing.get(room) == {ben.user_id})
    await ben.set_typing(room, typing=False)
    await ana.until(lambda: not ana.typing[room])


async def test_a_message_to_a_device_can_be_encrypted(
    capture: Capture, homeserver: SynapseServer, enter_encrypted: EnterEncrypted
) -> None:
    ana, ben = await enter_encrypted(homeserver, "ana", capture.url), await enter_encrypted(homeserver, "ben")
    await _together(ana, ben)
    await ana.send_encrypted_to_device(ben.user_id, ben.account.device_id, "m.dummy", {})
    await capture.until(lambda: capture.made("/sendToDevice/m.room.encrypted"))
    (sent,) = capture.made("/sendToDevice/m.room.encrypted")
    assert list(sent.body["messages"]) == [ben.user_id]


async def test_what_the_library_refuses_is_told_in_its_words(
    homeserver: SynapseServer, enter_encrypted: EnterEncrypted
) -> None:
    ana = await enter_encrypted(homeserver, "ana", signed=False)
    with pytest.raises(CallFailed, match="the file's hash differs"):
        await ana.read_encrypted_file(await _broken_file(ana))


async def _broken_file(ana: Peer) -> contents.Content:
    """The content of an encrypted file whose bytes are others than those that were sent."""
    url = await ana.upload(b"other bytes", "note.txt", "application/octet-stream")
    key = {"kty": "oct", "alg": "A256CTR", "ext": True, "k": "A" * 43, "key_ops": ["decrypt"]}
    return {"file": {"v": "v2", "url": url, "key": key, "iv": "A" * 22, "hashes": {"sha256": "A" * 43}}}


async def test_files_are_encrypted(homeserver: SynapseServer, enter_encrypted: EnterEncrypted) -> None:
    ana, ben = await enter_encrypted(homeserver, "ana"), await enter_encrypted(homeserver, "ben")
    room = await _together(ana, ben)
    await ana.send_encrypted_file(room, "note.txt", b"Milk, bread", caption="For Saturday")
    shown = await ben.shown(room, lambda shown: shown.kind == "m.file")
    assert (shown.body, "url" in shown.content) == ("For Saturday", False)
    assert await ben.read_encrypted_file(shown.content) == b"Milk, bread"


async def test_who_has_not_signed_their_device_is_neither_told_nor_heard(
    homeserver: SynapseServer, enter_encrypted: EnterEncrypted
) -> None:
    ana = await enter_encrypted(homeserver, "ana")
    ben = await enter_encrypted(homeserver, "ben", signed=False, isolated=False)
    room = await _together(ana, ben)
    await ana.say(room, "Can you read this?")
    await ben.until(lambda: ben.undecryptable(room))
    assert ben.undecryptable(room)[0]["decryption"]["failure"] == "MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE"
    await ben.say(room, "No. Can you?")
    await ana.until(lambda: [event for event in ana.undecryptable(room) if event["sender"] == ben.user_id])
    assert ana.undecryptable(room)[0]["decryption"]["failure"] == "UNSIGNED_SENDER_DEVICE"
    trust = await ana.trust(ben.user_id, ben.account.device_id)
    assert (trust.signed, trust.devices) == (False, [ben.account.device_id])


async def test_a_client_that_takes_all_devices_shows_a_red_shield(
    homeserver: SynapseServer, enter_encrypted: EnterEncrypted
) -> None:
    ana = await enter_encrypted(homeserver, "ana", isolated=False)
    ben = await enter_encrypted(homeserver, "ben", signed=False, isolated=False)
    room = await _together(ben, ana)
    await ben.say(room, "Hello")
    heard = await ana.wait_for(lambda event: event["content"].get("body") == "Hello")
    assert heard["decryption"] == {"failure": "", "shield": "red", "shield_reason": "unsigned_device"}


async def test_a_key_that_comes_late_opens_the_message(
    capture: Capture, homeserver: SynapseServer, enter_encrypted: EnterEncrypted
) -> None:
    ana, ben = await enter_encrypted(homeserver, "ana", capture.url), await enter_encrypted(homeserver, "ben")
    room = await _together(ana, ben)
    with capture.faults.postpone("/sendToDevice/m.room.encrypted"):
        await ana.say(room, "The key comes later")
        await ben.until(lambda: ben.undecryptable(room))
        assert ben.undecryptable(room)[0]["decryption"]["failure"] == "MEGOLM_UNKNOWN_INBOUND_SESSION_ID"
    await ben.shown(room, lambda shown: shown.body == "The key comes later")
    assert not ben.undecryptable(room)
    assert not capture.sent(room, "m.room.message")


async def test_a_room_key_can_be_replaced(homeserver: SynapseServer, enter_encrypted: EnterEncrypted) -> None:
    ana, ben = await enter_encrypted(homeserver, "ana"), await enter_encrypted(homeserver, "ben")
    room = await _together(ana, ben)
    await ana.say(room, "One")
    await ana.say(room, "Two")
    await ana.rotate_room_key(room)
    await ana.say(room, "Three")
    await ben.shown(room, lambda shown: shown.body == "Three")
    encrypted = [event["content"] for event in await ana.history(room) if event["type"] == "m.room.encrypted"]
    one, two, three = (content["session_id"] for content in encrypted)
    assert one == two != three


async def _compare(ana: Peer, ben: Peer, room: str = "") -> None:
    asked = await ana.verify(ben.user_id, ben.account.device_id, room)
    await ben.until(lambda: ben.verifications)
    (got,) = ben.verifications
    assert (asked.mine, got.mine, got.other, got.room) == (True, False, ana.user_id, room)
    await ben.accept(got)
    await ana.reaches(asked, "ready")
    emoji = await ana.compare_emoji(asked)
    assert len(emoji) == 7
    await ben.until(lambda: [sign for sign, _ in got.emoji] == emoji)
    await ana.confirm(asked)
    await ben.confirm(got)
    await ana.reaches(asked, "done")
    await ben.reaches(got, "done")


async def test_peers_verify_each_other_by_emoji(homeserver: SynapseServer, enter_encrypted: EnterEncrypted) -> None:
    ana, ben = await enter_encrypted(homeserver, "ana"), await enter_encrypted(homeserver, "ben")
    await _together(ana, ben)
    before = await ana.trust(ben.user_id, ben.account.device_id)
    assert (before.verified, before.signed, before.device_verified) == (False, True, False)
    await _compare(ana, ben)
    after = await ana.comes_to_trust(ben.user_id, ben.account.device_id)
    assert (after.device_verified, after.changed) == (True, False)
    await ben.comes_to_trust(ana.user_id)


async def test_peers_verify_each_other_in_a_room(homeserver: SynapseServer, enter_encrypted: EnterEncrypted) -> None:
    ana, ben = await enter_encrypted(homeserver, "ana"), await enter_encrypted(homeserver, "ben")
    await _compare(ana, ben, await _together(ana, ben))
    await ben.comes_to_trust(ana.user_id)


async def test_a_verification_is_broken_off_when_the_emoji_differ(
    homeserver: SynapseServer, enter_encrypted: EnterEncrypted
) -> None:
    ana, ben = await enter_encrypted(homeserver, "ana"), await enter_encrypted(homeserver, "ben")
    await _together(ana, ben)
    asked = await ana.verify(ben.user_id, ben.account.device_id)
    await ben.until(lambda: ben.verifications)
    await ben.accept(ben.verifications[0])
    await ana.reaches(asked, "ready")
    await ana.compare_emoji(asked)
    await ana.mismatch(asked)
    await ben.reaches(ben.verifications[0], "cancelled")
    assert (ben.verifications[0].code, (await ana.trust(ben.user_id)).verified) == ("m.mismatched_sas", False)
