"""Somebody with an encrypting client: by default one that deals with cross-signed devices only, as Element does."""

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Any, Self

from deploy.dev.element.process import NodeProcess
from deploy.dev.homeserver import contents
from deploy.dev.homeserver.account import Account
from deploy.dev.homeserver.client import WAIT_S, Client
from deploy.dev.homeserver.timeline import Event

_MEDIA = "/_matrix/client/v1/media/download/"
_ASK_AGAIN_S = 0.2


@dataclass(frozen=True)
class Trust:
    """What the client thinks of somebody: `verified` by emoji, `changed` when their master key is another than it was.

    `signed` and `device_verified` are of one device: by its owner, and by an owner who is verified.
    """

    devices: list[str]
    verified: bool
    changed: bool
    signed: bool
    device_verified: bool


@dataclass
class Verification:
    """One verification, as far as it is: `phase` is requested, ready, started, cancelled or done."""

    verification: int
    phase: str
    other: str
    room: str
    mine: bool
    emoji: list[list[str]] = field(default_factory=list)
    decimals: list[int] = field(default_factory=list)
    code: str = ""
    cancelled_by: str = ""


class Peer(Client):
    """A device in a Node process; everything is in memory, so each is a new device.

    Events in `timeline` are decrypted; encrypted ones have `decryption` with `failure` (empty when it worked, else the
    library's code), `shield` (none, grey, red) and `shield_reason`. `verifications` are all there were.
    """

    def __init__(self, url: str, account: Account) -> None:
        super().__init__(url, account)
        self.verifications: list[Verification] = []
        self._node: NodeProcess

    @classmethod
    async def enter(cls, url: str, account: Account, isolated: bool = True, signed: bool = True) -> Self:
        """Start the client of an account; returns after its first sync.

        `isolated`: only signed devices get keys and are believed (MSC4153). `signed`: its own keys are made and its
        device is signed with them.
        """
        self = cls(url, account)
        self._node = await NodeProcess.start(self._heard)
        who = {"user": account.user_id, "token": account.access_token, "device": account.device_id}
        how = {"password": account.password, "isolated": isolated, "signed": signed}
        try:
            await self._node.call("start", url=url, **who, **how)
        except BaseException:
            await self.close()
            raise
        return self

    @property
    def log(self) -> str:
        """The end of what the library said."""
        return "\n".join(self._node.log)

    async def close(self) -> None:
        """End the client; the account stays, and the device's keys are lost."""
        await self._node.end()
        await super().close()

    async def send(self, room: str, content: contents.Content, kind: str = "m.room.message") -> str:
        """Send any event, encrypted where the room asks for it. Returns its id."""
        return str(await self._node.call("send", room=room, type=kind, content=content))

    async def send_encrypted_to_device(
        self, user_id: str, device_id: str, kind: str, content: contents.Content
    ) -> None:
        """Send a message to one device in an Olm session, as room keys are sent."""
        await self._node.call("sendToDevice", user=user_id, device=device_id, type=kind, content=content)

    async def send_encrypted_file(
        self, room: str, name: str, data: bytes, content_type: str = "text/plain", caption: str = ""
    ) -> str:
        """Encrypt a file, upload and send it. Returns the event's id."""
        made = await self._node.call("encryptFile", data=base64.b64encode(data).decode())
        url = await self.upload(base64.b64decode(made["data"]), name, "application/octet-stream")
        content = contents.file(name, url, len(data), content_type, caption)
        del content["url"]
        return await self.send(room, content | {"file": made["file"] | {"url": url}})

    async def read_encrypted_file(self, content: contents.Content) -> bytes:
        """Download and decrypt the file of a message's content; raises CallFailed where its hash differs."""
        path = _MEDIA + content["file"]["url"].removeprefix("mxc://")
        headers = {"Authorization": f"Bearer {self.account.access_token}"}
        async with self._session.get(path, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            data = base64.b64encode(await answer.read()).decode()
        return base64.b64decode(await self._node.call("decryptFile", data=data, file=content["file"]))

    async def rotate_room_key(self, room: str) -> None:
        """Encrypt the next message of a room with a new key, which is sent to everybody first."""
        await self._node.call("rotateRoomKey", room=room)

    async def know(self, user_id: str, device_id: str) -> None:
        """Wait until the client has a device's keys, which it gets by itself in a shared encrypted room.

        Until then it drops verification requests of that device.
        """
        await self._node.call("know", user=user_id, device=device_id)

    async def trust(self, user_id: str, device_id: str = "") -> Trust:
        """Ask the server for somebody's keys, and tell what the client makes of them and of one device."""
        return Trust(**await self._node.call("trust", user=user_id, device=device_id))

    async def comes_to_trust(self, user_id: str, device_id: str = "", timeout_s: float = WAIT_S) -> Trust:
        """Wait until somebody counts as verified; TimeoutError if never.

        The client signs their master key and asks for all keys again, some moments after a verification is done.
        """
        async with asyncio.timeout(timeout_s):
            # The library tells no event for it.
            while not (trust := await self.trust(user_id, device_id)).verified:  # noqa: ASYNC110
                await asyncio.sleep(_ASK_AGAIN_S)
        return trust

    def undecryptable(self, room: str = "") -> list[Event]:
        """Give the events that could not be decrypted, or not yet."""
        return self.timeline.events(room, "m.room.encrypted")

    # Verification

    async def verify(self, user_id: str, device_id: str = "", room: str = "") -> Verification:
        """Ask somebody to verify each other: in a room, or one of their devices. It goes on as they answer."""
        number: int = await self._node.call("verify", user=user_id, device=device_id, room=room)
        return self.verifications[number]

    async def reaches(self, verification: Verification, phase: str, timeout_s: float = WAIT_S) -> None:
        """Wait until a verification is in a phase; AssertionError if it never is."""
        await self.until(lambda: verification.phase == phase, timeout_s)

    async def accept(self, verification: Verification) -> None:
        """Agree to a verification that the other side asked for."""
        await self._node.call("accept", verification=verification.verification)

    async def compare_emoji(self, verification: Verification, timeout_s: float = WAIT_S) -> list[str]:
        """Start the comparison, unless the other side did, and wait for the emoji."""
        if verification.phase == "ready":
            await self._node.call("startSas", verification=verification.verification)
        await self.until(lambda: verification.emoji, timeout_s)
        return [emoji for emoji, _ in verification.emoji]

    async def confirm(self, verification: Verification) -> None:
        """Say that the emoji are the same."""
        await self._node.call("confirm", verification=verification.verification)

    async def mismatch(self, verification: Verification) -> None:
        """Say that the emoji differ."""
        await self._node.call("mismatch", verification=verification.verification)

    async def cancel(self, verification: Verification) -> None:
        """Break a verification off."""
        await self._node.call("cancel", verification=verification.verification)

    # News

    async def _heard(self, told: dict[str, Any]) -> None:
        if told.pop("told") == "verification":
            self._note_verification(told)
        elif event := told["event"]:
            self._note(event)
            if "event_id" in event:
                self.timeline.add(event)
        await self._tell()

    def _note_verification(self, told: dict[str, Any]) -> None:
        number = told["verification"]
        if number == len(self.verifications):
            self.verifications.append(Verification(**told))
        else:
            vars(self.verifications[number]).update(told)
