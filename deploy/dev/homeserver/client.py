"""What every client can do and see, whatever it is made of: rooms, messages, and waiting for what others do."""

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
    """A device of somebody that hears everything from the moment it is made.

    `timeline` holds the events of all rooms; `invites` the rooms it is asked into, with who asks; `members` the
    membership of everybody in every room; `typing` who types where; `receipts` what each user has read last, by room
    and user.
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
        self._news = asyncio.Condition()
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
        """Make any request of the client-server API, `path` from behind `v3`; raises Refused."""
        return await ask(self._session, method, V3 + path, body, self.account.access_token, **query)

    @property
    def log(self) -> str:
        """What the client itself can tell about a test that failed."""
        return ""

    async def request(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """`ask_once` that waits limits out."""
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
        """Make a room; `settings` are further fields of the request. Returns its id."""
        preset = "trusted_private_chat" if direct else "private_chat"
        body = {"preset": preset, "invite": list(invite), "is_direct": direct, **settings}
        if encrypted:
            body["initial_state"] = [contents.ENCRYPTION, *body.get("initial_state", [])]
        return str((await self.request("POST", "/createRoom", body | ({"name": name} if name else {})))["room_id"])

    async def direct(self, user_id: str, encrypted: bool = False) -> str:
        """Begin a direct chat, as clients do: an invite that says so, and a note in one's own account data."""
        room = await self.create_room(invite=[user_id], direct=True, encrypted=encrypted)
        await self.request("PUT", f"/user/{quote(self.user_id)}/account_data/m.direct", {user_id: [room]})
        return room

    async def invite(self, room: str, user_id: str) -> None:
        """Ask somebody into a room."""
        await self.request("POST", f"/rooms/{quote(room)}/invite", {"user_id": user_id})

    async def join(self, room: str) -> None:
        """Accept an invite, or enter a public room."""
        await self.request("POST", f"/rooms/{quote(room)}/join", {})

    async def leave(self, room: str) -> None:
        """Leave a room, or decline an invite."""
        await self.request("POST", f"/rooms/{quote(room)}/leave", {})

    async def kick(self, room: str, user_id: str, reason: str = "") -> None:
        """Put somebody out of a room."""
        await self.request("POST", f"/rooms/{quote(room)}/kick", {"user_id": user_id, "reason": reason})

    async def upgrade(self, room: str, version: str = "11") -> str:
        """Replace a room by one of another version. Returns the new room's id; nobody is invited to it by that."""
        return str(
            (await self.request("POST", f"/rooms/{quote(room)}/upgrade", {"new_version": version}))["replacement_room"]
        )

    async def state(self, room: str, kind: str, key: str = "") -> Any:
        """Read one piece of a room's state; raises Refused where there is none."""
        return await self.request("GET", f"/rooms/{quote(room)}/state/{kind}/{quote(key)}")

    async def set_state(self, room: str, kind: str, content: contents.Content, key: str = "") -> None:
        """Write one piece of a room's state."""
        await self.request("PUT", f"/rooms/{quote(room)}/state/{kind}/{quote(key)}", content)

    async def set_power(self, room: str, user_id: str, level: int) -> None:
        """Give somebody a power level."""
        levels = await self.state(room, "m.room.power_levels")
        users = levels.get("users", {}) | {user_id: level}
        await self.set_state(room, "m.room.power_levels", levels | {"users": users})

    # Messages

    async def send(self, room: str, content: contents.Content, kind: str = "m.room.message") -> str:
        """Send any event, encrypted where the client can and the room asks for it. Returns its id."""
        return await self.send_plain(room, content, kind)

    async def send_plain(self, room: str, content: contents.Content, kind: str = "m.room.message") -> str:
        """Send any event as it is, into encrypted rooms too. Returns its id."""
        transaction = f"{self.account.device_id}{next(self._transactions)}"
        path = f"/rooms/{quote(room)}/send/{kind}/{transaction}"
        return str((await self.request("PUT", path, content))["event_id"])

    async def say(self, room: str, body: str, **how: Any) -> str:
        """Send a message; `how` is that of `contents.message`: mentions, thread, reply_to, html, kind."""
        return await self.send(room, contents.message(body, **how))

    async def edit(self, room: str, event_id: str, body: str, **how: Any) -> str:
        """Replace the text of an own message. Returns the id of the edit."""
        return await self.send(room, contents.edit(event_id, contents.message(body, **how)))

    async def react(self, room: str, event_id: str, key: str) -> str:
        """Put a reaction on a message. Returns the reaction's id, with which it can be redacted."""
        return await self.send(room, contents.reaction(event_id, key), "m.reaction")

    async def redact(self, room: str, event_id: str, reason: str = "") -> None:
        """Remove an event's content."""
        path = f"/rooms/{quote(room)}/redact/{quote(event_id)}/{next(self._transactions)}"
        await self.request("PUT", path, {"reason": reason} if reason else {})

    async def send_to_device(self, user_id: str, kind: str, content: contents.Content, device_id: str = "*") -> None:
        """Send a message to a device, or to all of a user, as it is: anybody may do so to anybody."""
        path = f"/sendToDevice/{kind}/{self.account.device_id}{next(self._transactions)}"
        await self.request("PUT", path, {"messages": {user_id: {device_id: content}}})

    async def set_typing(self, room: str, typing: bool = True) -> None:
        """Show, or show no longer, that they type."""
        path = f"/rooms/{quote(room)}/typing/{quote(self.user_id)}"
        await self.request("PUT", path, {"typing": typing} | ({"timeout": 30_000} if typing else {}))

    async def mark_read(self, room: str, event_id: str) -> None:
        """Show that they have read up to a message."""
        await self.request("POST", f"/rooms/{quote(room)}/receipt/m.read/{quote(event_id)}", {})

    async def upload(self, data: bytes, name: str, content_type: str) -> str:
        """Upload a file. Returns its `mxc` address."""
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

    # What they see

    async def wait_for(self, wanted: Callable[[Event], Any], timeout_s: float = WAIT_S) -> Event:
        """Wait for an event of any room, past ones included; AssertionError with the last ones if there is none."""
        found: list[Event] = []

        def look() -> bool:
            found.extend(event for event in self.timeline.events() if wanted(event))
            return bool(found)

        await self.until(look, timeout_s)
        return found[0]

    async def shown(self, room: str, wanted: Callable[[Shown], Any], timeout_s: float = WAIT_S) -> Shown:
        """Wait until a message, edits applied, is as wanted; AssertionError if none becomes so."""
        found: list[Shown] = []

        def look() -> bool:
            found.extend(shown for shown in self.timeline.shown(room) if wanted(shown))
            return bool(found)

        await self.until(look, timeout_s)
        return found[0]

    async def until(self, condition: Callable[[], Any], timeout_s: float = WAIT_S) -> None:
        """Wait until something is true, looked at after each sync; AssertionError with the last events if never."""
        try:
            async with asyncio.timeout(timeout_s), self._news:
                await self._news.wait_for(lambda: bool(condition()))
        except TimeoutError:
            last = "\n".join(map(str, self.timeline.events()[-8:]))
            raise AssertionError(
                f"{self.user_id} did not see it within {timeout_s} s; the last events:\n{last}\n{self.log}"
            ) from None

    async def history(self, room: str) -> list[Event]:
        """All events of a room as the server keeps them, oldest first: encrypted ones encrypted."""
        path = f"/rooms/{quote(room)}/messages"
        found: list[Event] = []
        since: dict[str, str] = {}
        while True:
            page = await self.request("GET", path, dir="b", limit="500", **since)
            found += page["chunk"]
            if not page["chunk"] or "end" not in page:
                return found[::-1]
            since = {"from": page["end"]}

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _note(self, event: Event) -> None:
        """Take in what is not a message: who is where, who types, who has read."""
        room, content = event["room_id"], event["content"]
        if event["type"] == "m.room.member":
            self._note_member(room, event["sender"], event["state_key"], content.get("membership", ""))
        elif event["type"] == "m.typing":
            self.typing[room] = set(content["user_ids"])
        elif event["type"] == "m.receipt":
            for event_id, kinds in content.items():
                for user in kinds.get("m.read", {}):
                    self.receipts[room, user] = event_id

    def _note_member(self, room: str, by: str, user: str, membership: str) -> None:
        self.members.setdefault(room, {})[user] = membership
        if user == self.user_id and membership == "invite":
            self.invites[room] = by
        elif user == self.user_id:
            self.invites.pop(room, None)
