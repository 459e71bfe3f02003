"""Client with end-to-end encryption, which by default trusts cross-signed devices only, like Element."""

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
_POLL_S = 0.2


@dataclass(frozen=True)
class Trust:
    """The client's trust in a user: `verified` by emoji, `changed` when their master key differs from an earlier one.

    `signed` and `device_verified` concern one device: signed by its owner, and by an owner who is verified.
    """

    devices: list[str]
    verified: bool
    changed: bool
    signed: bool
    device_verified: bool


@dataclass
class Verification:
    """The state of one verification; `phase` is requested, ready, started, cancelled or done."""

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
    """A device in a Node process; its state is in memory only, so each peer is a new device.

    Events in `timeline` are decrypted; encrypted ones have `decryption` with `failure` (empty after success, else the
    library's code), `shield` (none, grey, red) and `shield_reason`. `verifications` holds all verifications so far.
    """

    def __init__(self, url: str, account: Account) -> None:
        super().__init__(url, account)
        self.verifications: list[Verification] = []
        self._node: NodeProcess

    @classmethod
    async def enter(cls, url: str, account: Account, isolated: bool = True, signed: bool = True) -> Self:
        """Start the client of an account; returns after its first sync.

        `isolated`: only signed devices get keys and are trusted (MSC4153). `signed`: it creates cross-signing keys and
        signs its device with them.
        """
        self = cls(url, account)
        self._node = await NodeProcess.start(self._take_notification)
        login = {"user": account.user_id, "token": account.access_token, "device": account.device_id}
        options = {"password": account.password, "isolated": isolated, "signed": signed}
        try:
            await self._node.call("start", url=url, **login, **options)
        except BaseException:
            await self.close()
            raise
        return self

    @property
    def log(self) -> str:
        """The last lines of the library's log."""
        return "\n".join(self._node.log)

    async def close(self) -> None:
        """End the client; the account stays, and the device's keys are lost."""
        await self._node.end()
        await super().close()

    async def send(self, room: str, content: contents.Content, kind: str = "m.room.message") -> str:
        """Send any event, encrypted if the room requires it. Returns its id."""
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
        encrypted = await self._node.call("encryptFile", data=base64.b64encode(data).decode())
        url = await self.upload(base64.b64decode(encrypted["data"]), name, "application/octet-stream")
        content = contents.file(name, url, len(data), content_type, caption)
        del content["url"]
        return await self.send(room, content | {"file": encrypted["file"] | {"url": url}})

    async def read_encrypted_file(self, content: contents.Content) -> bytes:
        """Download and decrypt the file of a message's content; raises CallFailed when its hash differs."""
        path = _MEDIA + content["file"]["url"].removeprefix("mxc://")
        headers = {"Authorization": f"Bearer {self.account.access_token}"}
        async with self._session.get(path, headers=headers) as response:
            assert response.status == 200, await response.text()
            data = base64.b64encode(await response.read()).decode()
        return base64.b64decode(await self._node.call("decryptFile", data=data, file=content["file"]))

    async def rotate_room_key(self, room: str) -> None:
        """Encrypt the next message of a room with a new key, which is shared with all members first."""
        await self._node.call("rotateRoomKey", room=room)

    async def know(self, user_id: str, device_id: str) -> None:
        """Wait until the client has fetched a device's keys, as it does on its own in a shared encrypted room.

        Until then it ignores verification requests from that device.
        """
        await self._node.call("know", user=user_id, device=device_id)

    async def trust(self, user_id: str, device_id: str = "") -> Trust:
        """Query a user's keys from the server; returns the client's trust in them and in one device."""
        return Trust(**await self._node.call("trust", user=user_id, device=device_id))

    async def comes_to_trust(self, user_id: str, device_id: str = "", timeout_s: float = WAIT_S) -> Trust:
        """Wait until a user counts as verified. Raises TimeoutError.

        Some time after the end of a verification, the client signs their master key and queries all keys again.
        """
        async with asyncio.timeout(timeout_s):
            # The library emits no event for it.
            while not (trust := await self.trust(user_id, device_id)).verified:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)
        return trust

    def undecryptable(self, room: str = "") -> list[Event]:
        """The events that are not decrypted, or not yet."""
        return self.timeline.events(room, "m.room.encrypted")

    # Verification

    async def verify(self, user_id: str, device_id: str = "", room: str = "") -> Verification:
        """Request a verification with a user, in a room or to-device; it is updated with each of their steps."""
        number: int = await self._node.call("verify", user=user_id, device=device_id, room=room)
        return self.verifications[number]

    async def reaches(self, verification: Verification, phase: str, timeout_s: float = WAIT_S) -> None:
        """Wait until a verification reaches a phase. Raises AssertionError."""
        await self.until(lambda: verification.phase == phase, timeout_s)

    async def accept(self, verification: Verification) -> None:
        """Accept a verification that the other side requested."""
        await self._node.call("accept", verification=verification.verification)

    async def compare_emoji(self, verification: Verification, timeout_s: float = WAIT_S) -> list[str]:
        """Start the comparison, unless the other side has, and wait for the emoji."""
        if verification.phase == "ready":
            await self._node.call("startSas", verification=verification.verification)
        await self.until(lambda: verification.emoji, timeout_s)
        return [emoji for emoji, _ in verification.emoji]

    async def confirm(self, verification: Verification) -> None:
        """Confirm that the emoji match."""
        await self._node.call("confirm", verification=verification.verification)

    async def mismatch(self, verification: Verification) -> None:
        """Report that the emoji differ."""
        await self._node.call("mismatch", verification=verification.verification)

    async def cancel(self, verification: Verification) -> None:
        """Cancel a verification."""
        await self._node.call("cancel", verification=verification.verification)

    # Notifications

    async def _take_notification(self, notification: dict[str, Any]) -> None:
        if notification.pop("notification") == "verification":
            self._update_verification(notification)
        elif event := notification["event"]:
            self._apply_event(event)
            if "event_id" in event:
                self.timeline.add(event)
        await self._notify_waiters()

    def _update_verification(self, fields: dict[str, Any]) -> None:
        number = fields["verification"]
        if number == len(self.verifications):
            self.verifications.append(Verification(**fields))
        else:
            vars(self.verifications[number]).update(fields)
