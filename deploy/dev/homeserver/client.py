"""Base of the test clients: rooms, messages, and waiting for events."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from deploy.dev.homeserver import contents
from deploy.dev.homeserver.account import V3, Account, Refused, ask
from deploy.dev.homeserver.timeline import Event, Shown, Timeline

WAIT_S = 90.0


class Client:
    """One device of a user, which receives all events from its creation on.

    `timeline` holds the events of all rooms, `invites` the inviting user by room, `members` the membership by room and
    user, `typing` the typing users by room, and `receipts` the last event read, by room and user.
    """

    def __init__(self, url: str, account: Account) -> None:
        self.account = account
        self.user_id = account.user_id
        self.timeline = Timeline()
        self.invites: dict[str, str] = {}
        self.members: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self.typing: dict[str, set[str]] = {}
        self.receipts: dict[tuple[str, str], str] = {}
        self._session = aiohttp.ClientSession(url)
        self._changed = asyncio.Condition()
        self._transactions = itertools.count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the client; the account stays."""
        await self._session.close()

    async def ask_once(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """Make any request of the client-server API, `path` without the prefix up to `v3`. Raises Refused."""
        return await ask(self._session, method, V3 + path, body, self.account.access_token, **query)

    @property
    def log(self) -> str:
        """The client's own log, for the message of a failed test."""
        return ""

    async def request(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """Like `ask_once`, with a retry after each rate limit."""
        while True:
            try:
                return await self.ask_once(method, path, body, **query)
            except Refused as refused:
                if refused.status != 429:
                    raise
                await asyncio.sleep(refused.retry_after_ms / 1000)

    # Rooms

    async def create_room(
        self, name: str = "", invite: Sequence[str] = (), direct: bool = False, encrypted: bool = False, **settings: Any
    ) -> str:
        """Create a room; `settings` are further fields of the request. Returns its id."""
        preset = "trusted_private_chat" if direct else "private_chat"
        body = {"preset": preset, "invite": list(invite), "is_direct": direct, **settings}
        if encrypted:
            body["initial_state"] = [contents.ENCRYPTION, *body.get("initial_state", [])]
        return str((await self.request("POST", "/createRoom", body | ({"name": name} if name else {})))["room_id"])

    async def direct(self, user_id: str, encrypted: bool = False) -> str:
        """Start a direct chat as clients do, with a direct invitation and an entry in the own account data."""
        room = await self.create_room(invite=[user_id], direct=True, encrypted=encrypted)
        await self.request("PUT", f"/user/{quote(self.user_id)}/account_data/m.direct", {user_id: [room]})
        return room

    async def invite(self, room: str, user_id: str) -> None:
        """Invite a user to a room."""
        await self.request("POST", f"/rooms/{quote(room)}/invite", {"user_id": user_id})

    async def join(self, room: str) -> None:
        """Accept an invitation, or join a public room."""
        await self.request("POST", f"/rooms/{quote(room)}/join", {})

    async def leave(self, room: str) -> None:
        """Leave a room, or decline an invitation."""
        await self.request("POST", f"/rooms/{quote(room)}/leave", {})

    async def kick(self, room: str, user_id: str, reason: str = "") -> None:
        """Remove a user from a room."""
        await self.request("POST", f"/rooms/{quote(room)}/kick", {"user_id": user_id, "reason": reason})

    async def upgrade(self, room: str, version: str = "11") -> str:
        """Replace a room by one of another version. Returns the new room's id; no user is invited to it."""
        return str(
            (await self.request("POST", f"/rooms/{quote(room)}/upgrade", {"new_version": version}))["replacement_room"]
        )

    async def state(self, room: str, kind: str, key: str = "") -> Any:
        """Read one state event of a room. Raises Refused when there is none."""
        return await self.request("GET", f"/rooms/{quote(room)}/state/{kind}/{quote(key)}")

    async def set_state(self, room: str, kind: str, content: contents.Content, key: str = "") -> None:
        """Write one state event of a room."""
        await self.request("PUT", f"/rooms/{quote(room)}/state/{kind}/{quote(key)}", content)

    async def set_power(self, room: str, user_id: str, level: int) -> None:
        """Set a user's power level."""
        levels = await self.state(room, "m.room.power_levels")
        users = levels.get("users", {}) | {user_id: level}
        await self.set_state(room, "m.room.power_levels", levels | {"users": users})

    # Messages

    async def send(self, room: str, content: contents.Content, kind: str = "m.room.message") -> str:
        """Send any event, encrypted if the client can and the room requires it. Returns its id."""
        return await self.send_plain(room, content, kind)

    async def send_plain(self, room: str, content: contents.Content, kind: str = "m.room.message") -> str:
        """Send any event unencrypted, also to encrypted rooms. Returns its id."""
        transaction = f"{self.account.device_id}{next(self._transactions)}"
        path = f"/rooms/{quote(room)}/send/{kind}/{transaction}"
        return str((await self.request("PUT", path, content))["event_id"])

    async def say(self, room: str, body: str, **how: Any) -> str:
        """Send a message; `how` are the options of `contents.message`: mentions, thread, reply_to, html, kind."""
        return await self.send(room, contents.message(body, **how))

    async def edit(self, room: str, event_id: str, body: str, **how: Any) -> str:
        """Edit an own message. Returns the id of the edit."""
        return await self.send(room, contents.edit(event_id, contents.message(body, **how)))

    async def react(self, room: str, event_id: str, key: str) -> str:
        """React to a message. Returns the reaction's id, by which it can be redacted."""
        return await self.send(room, contents.reaction(event_id, key), "m.reaction")

    async def redact(self, room: str, event_id: str, reason: str = "") -> None:
        """Redact an event."""
        path = f"/rooms/{quote(room)}/redact/{quote(event_id)}/{next(self._transactions)}"
        await self.request("PUT", path, {"reason": reason} if reason else {})

    async def send_to_device(self, user_id: str, kind: str, content: contents.Content, device_id: str = "*") -> None:
        """Send an unencrypted message to one device of a user, or to all; every user may send one to every other."""
        path = f"/sendToDevice/{kind}/{self.account.device_id}{next(self._transactions)}"
        await self.request("PUT", path, {"messages": {user_id: {device_id: content}}})

    async def set_typing(self, room: str, typing: bool = True) -> None:
        """Start or stop the typing indicator."""
        path = f"/rooms/{quote(room)}/typing/{quote(self.user_id)}"
        await self.request("PUT", path, {"typing": typing} | ({"timeout": 30_000} if typing else {}))

    async def mark_read(self, room: str, event_id: str) -> None:
        """Send a read receipt for a message."""
        await self.request("POST", f"/rooms/{quote(room)}/receipt/m.read/{quote(event_id)}", {})

    async def upload(self, data: bytes, name: str, content_type: str) -> str:
        """Upload a file. Returns its `mxc` URI."""
        headers = {"Authorization": f"Bearer {self.account.access_token}", "Content-Type": content_type}
        path = "/_matrix/media/v3/upload"
        async with self._session.post(path, data=data, params={"filename": name}, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return str((await answer.json())["content_uri"])

    async def send_file(
        self, room: str, name: str, data: bytes, content_type: str = "text/plain", caption: str = "", **more: Any
    ) -> str:
        """Upload a file and send it; `more` are further fields of the content."""
        url = await self.upload(data, name, content_type)
        return await self.send(room, contents.file(name, url, len(data), content_type, caption) | more)

    # Events

    async def wait_for(self, wanted: Callable[[Event], Any], timeout_s: float = WAIT_S) -> Event:
        """Wait for a matching event in any room, past ones included. Raises AssertionError with the last events."""
        found: list[Event] = []

        def is_found() -> bool:
            found.extend(event for event in self.timeline.events() if wanted(event))
            return bool(found)

        await self.until(is_found, timeout_s)
        return found[0]

    async def shown(self, room: str, wanted: Callable[[Shown], Any], timeout_s: float = WAIT_S) -> Shown:
        """Wait until a message matches, with edits applied. Raises AssertionError."""
        found: list[Shown] = []

        def is_found() -> bool:
            found.extend(shown for shown in self.timeline.shown(room) if wanted(shown))
            return bool(found)

        await self.until(is_found, timeout_s)
        return found[0]

    async def until(self, condition: Callable[[], Any], timeout_s: float = WAIT_S) -> None:
        """Wait for a condition, checked after each sync. Raises AssertionError with the last events."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: bool(condition()))
        except TimeoutError:
            last = "\n".join(map(str, self.timeline.events()[-8:]))
            raise AssertionError(
                f"{self.user_id} did not see it within {timeout_s} s; the last events:\n{last}\n{self.log}"
            ) from None

    async def history(self, room: str) -> list[Event]:
        """All events of a room as the server stores them, oldest first; encrypted events stay encrypted."""
        path = f"/rooms/{quote(room)}/messages"
        found: list[Event] = []
        since: dict[str, str] = {}
        while True:
            page = await self.request("GET", path, dir="b", limit="500", **since)
            found += page["chunk"]
            if not page["chunk"] or "end" not in page:
                return found[::-1]
            since = {"from": page["end"]}

    async def _notify_waiters(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _apply_event(self, event: Event) -> None:
        """Apply a membership, typing or receipt event; others change nothing here."""
        room, content = event["room_id"], event["content"]
        if event["type"] == "m.room.member":
            self._apply_membership(room, event["sender"], event["state_key"], content.get("membership", ""))
        elif event["type"] == "m.typing":
            self.typing[room] = set(content["user_ids"])
        elif event["type"] == "m.receipt":
            for event_id, kinds in content.items():
                for user in kinds.get("m.read", {}):
                    self.receipts[room, user] = event_id

    def _apply_membership(self, room: str, sender: str, user: str, membership: str) -> None:
        self.members.setdefault(room, {})[user] = membership
        if user == self.user_id and membership == "invite":
            self.invites[room] = sender
        elif user == self.user_id:
            self.invites.pop(room, None)
