"""Verification by emoji between the bot and a client on Element's own crypto library, on a real Synapse."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from adapters.matrix.account.identity import IdentityFile
from adapters.matrix.verification.service import VerificationService
from deploy.dev.element import Peer
from deploy.dev.element.peer import Trust
from deploy.dev.homeserver import SynapseServer
from deploy.dev.homeserver.account import ask
from tests.integration.matrix.signed_device import (
    SignedDevice,
    happens,
    new_credentials,
    opened,
    running,
)

Enter = Callable[..., Awaitable[Any]]
STEPS = ("request", "ready", "start", "accept", "key", "mac", "done", "cancel")


async def _chat(ada: Peer, bot: SignedDevice, encrypted: bool = True) -> str:
    room = await ada.direct(bot.client.user_id, encrypted=encrypted)
    await ada.until(lambda: ada.members.get(room, {}).get(bot.client.user_id) == "join")
    return str(room)


async def _verified(ada: Peer, bot: SignedDevice, room: str) -> list[str]:
    asked = await ada.verify(bot.client.user_id, bot.client.device_id, room)
    await ada.reaches(asked, "ready")
    emoji = await ada.compare_emoji(asked)
    await ada.confirm(asked)
    await ada.reaches(asked, "done")
    await happens(lambda: bool(bot.own.verifiers))
    return emoji


async def _trusted(ada: Peer, bot: SignedDevice) -> Trust:
    """What Ada's client thinks of the bot once its own signature has come back to it from the server."""
    async with asyncio.timeout(60):
        while not (trust := await ada.trust(bot.client.user_id, bot.client.device_id)).verified:
            await asyncio.sleep(0.1)
    return trust


async def test_an_admin_verifies_the_bot_between_devices(
    homeserver: SynapseServer, enter_encrypted: Enter, tmp_path: Path
) -> None:
    ada: Peer = await enter_encrypted(homeserver, "ada")
    account = await homeserver.register("hearth")
    made = new_credentials(homeserver.url, account, tmp_path)
    async with opened(tmp_path, made, ada.user_id) as bot:
        assert (await bot.own.check_signature()).is_signed
        async with running(bot):
            await _chat(ada, bot)
            before = await ada.trust(bot.client.user_id, bot.client.device_id)
            assert (before.signed, before.verified) == (True, False)
            assert len(await _verified(ada, bot, "")) == 7
            after = await _trusted(ada, bot)
            assert (after.device_verified, after.changed) == (True, False)
    kept = IdentityFile.for_account(tmp_path, made).load()
    assert kept is not None
    assert [each.user_id for each in kept.verifiers] == [ada.user_id]


async def test_an_admin_verifies_the_bot_in_an_encrypted_room_where_it_shows_its_emoji(
    homeserver: SynapseServer, enter_encrypted: Enter, tmp_path: Path
) -> None:
    ada: Peer = await enter_encrypted(homeserver, "ada")
    account = await homeserver.register("hearth")
    made = new_credentials(homeserver.url, account, tmp_path)
    async with opened(tmp_path, made, ada.user_id) as bot:
        await bot.own.check_signature()
        async with running(bot):
            room = await _chat(ada, bot)
            emoji = await _verified(ada, bot, room)
            assert (await _trusted(ada, bot)).device_verified
            shown = await ada.shown(room, lambda shown: shown.kind == "m.notice")
            assert " ".join(emoji) in shown.body
    # Element's own steps are not encrypted; ours are, like everything we send there.
    kinds = {event["type"] for event in await ada.history(room) if event["sender"] == made.user_id}
    assert kinds == {"m.room.member", "m.room.encrypted"}


async def test_emoji_that_the_admin_finds_different_verify_nothing(
    homeserver: SynapseServer, enter_encrypted: Enter, tmp_path: Path
) -> None:
    ada: Peer = await enter_encrypted(homeserver, "ada")
    account = await homeserver.register("hearth")
    made = new_credentials(homeserver.url, account, tmp_path)
    async with opened(tmp_path, made, ada.user_id) as bot:
        await bot.own.check_signature()
        async with running(bot):
            room = await _chat(ada, bot)
            asked = await ada.verify(bot.client.user_id, bot.client.device_id, room)
            await ada.reaches(asked, "ready")
            await ada.compare_emoji(asked)
            await ada.mismatch(asked)
            await ada.reaches(asked, "cancelled")
            await happens(lambda: bot.desk.open_count == 0)
            assert bot.own.verifiers == ()
            assert not (await ada.trust(bot.client.user_id)).verified
            # The desk goes on: the second time they are the same.
            await _verified(ada, bot, room)


async def test_whoever_is_no_admin_is_declined(
    homeserver: SynapseServer, enter_encrypted: Enter, tmp_path: Path
) -> None:
    guest: Peer = await enter_encrypted(homeserver, "guest")
    account = await homeserver.register("hearth")
    made = new_credentials(homeserver.url, account, tmp_path)
    async with opened(tmp_path, made, "@somebody:else") as bot:
        await bot.own.check_signature()
        async with running(bot):
            await _chat(guest, bot)
            asked = await guest.verify(bot.client.user_id, bot.client.device_id)
            await guest.reaches(asked, "cancelled")
            assert asked.code == "m.user"
            assert bot.desk.open_count == 0


async def test_hostile_messages_of_every_kind_from_a_stranger_change_nothing(
    homeserver: SynapseServer, enter_encrypted: Enter, tmp_path: Path
) -> None:
    ada: Peer = await enter_encrypted(homeserver, "ada")
    eve = await homeserver.register("eve")
    account = await homeserver.register("hearth")
    made = new_credentials(homeserver.url, account, tmp_path)
    async with opened(tmp_path, made, ada.user_id) as bot:
        await bot.own.check_signature()
        async with running(bot), aiohttp.ClientSession(homeserver.url) as session:
            room = await _chat(ada, bot)
            contents = [
                {},
                {"transaction_id": ["x"], "from_device": {}, "methods": 7, "key": None, "mac": "x"},
                {
                    "transaction_id": "t",
                    "from_device": eve.device_id,
                    "methods": ["m.sas.v1"],
                    "method": "m.sas.v1",
                    "key_agreement_protocols": ["curve25519", "curve25519-hkdf-sha256"],
                    "hashes": ["sha256"],
                    "message_authentication_codes": ["hkdf-hmac-sha256", "hkdf-hmac-sha256.v2"],
                    "short_authentication_string": ["decimal", "emoji"],
                    "key": "A" * 42 + "8",
                    "mac": {f"ed25519:{eve.device_id}": "x"},
                    "keys": "x",
                    "code": "m.user",
                    "reason": "x",
                },
            ]
            for number, content in enumerate(contents):
                for step in STEPS:
                    path = f"/_matrix/client/v3/sendToDevice/m.key.verification.{step}/e{number}{step}"
                    body = {"messages": {bot.client.user_id: {bot.client.device_id: content}}}
                    await ask(session, "PUT", path, body, eve.access_token)
            await happens(lambda: sum(len(news.to_device) for news in bot.seen) >= len(contents) * len(STEPS))
            await bot.desk.wait_idle()
            assert (bot.desk.open_count, bot.own.verifiers) == (0, ())
            await _verified(ada, bot, room)
    assert isinstance(bot.desk, VerificationService)
