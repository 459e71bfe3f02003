"""The gateway: identifies and resumes sessions, tells them events, and dies in the ways that gateways do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import WSMsgType, web

from tests.fakes.discord_server.connection import Connection
from tests.fakes.discord_server.intents import PRIVILEGED, Intent
from tests.fakes.discord_server.people import Member
from tests.fakes.discord_server.session import Session
from tests.fakes.discord_server.world import Event, World

HEARTBEAT, IDENTIFY, RESUME, RECONNECT, ASK_MEMBERS, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 1, 2, 6, 7, 8, 9, 10, 11
UNKNOWN_OP, NOT_AUTHENTICATED, BAD_TOKEN, TWICE, BAD_SHARD, SHARDS_NEEDED, BAD_INTENTS = (
    4001,
    4003,
    4004,
    4005,
    4010,
    4011,
    4014,
)
# Sent by clients for presence and voice; the fake has no answer to them.
_UNANSWERED = (3, 4)


class Gateway:
    """All sockets and sessions. `identifies` and `resumes` are what clients have sent, oldest first."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._refusals: tuple[int | None, float, int] = (0, 0.0, 0)
        self.connections: list[Connection] = []
        self.sessions: dict[str, Session] = {}
        self.identifies: list[Mapping[str, Any]] = []
        self.resumes: list[Mapping[str, Any]] = []
        self.attempts: list[float] = []
        world.publish = self.publish
        world.settled = self.settled

    @property
    def live(self) -> list[Connection]:
        """The sockets over which events go out."""
        return [one for one in self.connections if one.session and not one.silent and not one.socket.closed]

    @property
    def heartbeats(self) -> int:
        """How many heartbeats the sockets that are open have sent."""
        return sum(one.heartbeats for one in self.connections)

    def publish(self, event: Event) -> None:
        """Tell every session that wants it; one without a socket keeps it for its resume."""
        for session in self.sessions.values():
            if session.wants(event):
                payload = session.dispatch(event)
                for connection in self.connections:
                    if connection.session is session:
                        connection.send(payload)

    async def settled(self) -> None:
        """Wait until what was told is written to the sockets. TimeoutError when a client reads nothing for 10 s."""
        async with asyncio.timeout(10):
            await asyncio.gather(*(one.written() for one in self.live))

    # Ways to die.

    def drop(self) -> None:
        """Cut every socket, as a lost network does: the sessions can be resumed."""
        for connection in list(self.connections):
            connection.cut()

    async def close(self, code: int) -> None:
        """Close every socket with a code."""
        for connection in list(self.connections):
            await connection.close(code)

    def go_silent(self, *, deaf: bool = False) -> None:
        """Leave every socket open and send nothing on it again, not even answers to heartbeats; if `deaf`, not even
        the answer to a close, as when the network is gone: discord.py then waits for it for 30 s.
        """
        for connection in self.connections:
            connection.silent, connection.deaf = True, deaf

    def ask_to_reconnect(self) -> None:
        """Send RECONNECT to every socket."""
        for connection in self.connections:
            connection.send({"op": RECONNECT, "d": None})

    def invalidate(self, *, resumable: bool = False, shard: int | None = None) -> None:
        """Send INVALID_SESSION to every socket, or to those of one shard; unless `resumable` the sessions are
        forgotten.
        """
        struck = [one for one in self.connections if shard is None or (one.session and one.session.shard[0] == shard)]
        for connection in struck:
            if not resumable and connection.session is not None:
                self.sessions.pop(connection.session.id, None)
                connection.session = None
            connection.send({"op": INVALID_SESSION, "d": resumable})

    def forget_sessions(self) -> None:
        """A later RESUME gets INVALID_SESSION: too much time has passed, or the gateway has restarted."""
        self.sessions.clear()
        for connection in self.connections:
            connection.session = None

    def refuse(self, *, status: int | None = 503, times: int = 1_000_000, for_s: float = 3600.0) -> None:
        """Answer new connections with a 5xx, so many times or seconds; without a status they are cut off unanswered."""
        self._refusals = status, self._world.clock.now() + for_s, times

    # One socket.

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Speak with a client until its socket ends."""
        self.attempts.append(self._world.clock.now())
        status, until, times = self._refusals
        if times > 0 and self._world.clock.now() < until:
            self._refusals = status, until, times - 1
            if status is None and request.transport is not None:
                request.transport.abort()
            return web.Response(status=status or 503)
        socket = web.WebSocketResponse(autoclose=False, timeout=1.0)
        await socket.prepare(request)
        connection = Connection(socket, request)
        self.connections.append(connection)
        writer = asyncio.create_task(connection.write())
        try:
            await self._speak(connection)
            await connection.end()
        finally:
            writer.cancel()
            connection.abandon()
            self.connections.remove(connection)
        return socket

    async def _speak(self, connection: Connection) -> None:
        interval_ms = int(self._world.settings.heartbeat_interval_s * 1000)
        connection.send({"op": HELLO, "d": {"heartbeat_interval": interval_ms}})
        async for frame in connection.socket:
            if frame.type is WSMsgType.TEXT and not connection.silent:
                await self._received(connection, json.loads(frame.data))

    async def _received(self, connection: Connection, payload: Mapping[str, Any]) -> None:
        op, data = payload["op"], payload["d"]
        if op == HEARTBEAT:
            connection.heartbeats += 1
            connection.send({"op": HEARTBEAT_ACK})
        elif op == IDENTIFY:
            self.identifies.append(data)
            await self._identify(connection, data)
        elif op == RESUME:
            self.resumes.append(data)
            await self._resume(connection, data)
        elif op not in (ASK_MEMBERS, *_UNANSWERED):
            await connection.close(UNKNOWN_OP)
        elif connection.session is None:
            await connection.close(NOT_AUTHENTICATED)
        elif op == ASK_MEMBERS:
            self._tell_members(connection, connection.session, data)

    async def _identify(self, connection: Connection, data: Mapping[str, Any]) -> None:
        fault = self._fault_of(connection, data)
        if fault:
            await connection.close(fault)
            return
        self._world.settings.sessions_left -= 1
        shard = data.get("shard") or (0, 1)
        session = Session(Intent(data["intents"]), (int(shard[0]), int(shard[1])))
        self.sessions[session.id] = session
        connection.session = session
        self._greet(connection, session)

    def _fault_of(self, connection: Connection, data: Mapping[str, Any]) -> int | None:
        """The close code with which an IDENTIFY is refused, if it is (opcodes-and-status-codes.mdx)."""
        settings = self._world.settings
        if connection.session is not None:
            return TWICE
        # Out of starts, Discord resets the token (gateway.mdx, "Session Start Limit").
        if data["token"] != settings.token or settings.sessions_left <= 0:
            return BAD_TOKEN
        if Intent(data["intents"]) & PRIVILEGED & ~settings.privileged:
            return BAD_INTENTS
        number, count = data.get("shard") or (0, 1)
        if number >= count:
            return BAD_SHARD
        return SHARDS_NEEDED if count < settings.shards else None

    def _greet(self, connection: Connection, session: Session) -> None:
        world = self._world
        guilds = [guild for guild in world.guilds.values() if session.covers(guild)]
        ready = {
            "v": 10,
            "user": world.bot.payload(),
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "resume_gateway_url": world.gateway_url,
            "shard": list(session.shard),
            "application": {"id": str(world.bot.id), "flags": world.application_flags()},
        }
        connection.send(session.tell("READY", ready))
        for guild in guilds if Intent.GUILDS in session.intents else ():
            members = Intent.GUILD_MEMBERS in session.intents
            connection.send(session.tell("GUILD_CREATE", guild.payload(with_members=members)))

    def _tell_members(self, connection: Connection, session: Session, data: Mapping[str, Any]) -> None:
        guild = self._world.guilds[int(data["guild_id"])]
        wanted = {int(one) for one in data.get("user_ids") or ()}
        begins = (data.get("query") or "").lower()
        found = [one for one in guild.members.values() if (one.id in wanted if wanted else _named(one, begins))]
        members = [one.full_payload() for one in found[: data.get("limit") or None]]
        chunk = {"guild_id": str(guild.id), "members": members, "chunk_index": 0, "chunk_count": 1}
        connection.send(session.tell("GUILD_MEMBERS_CHUNK", {**chunk, "nonce": data.get("nonce"), "not_found": []}))

    async def _resume(self, connection: Connection, data: Mapping[str, Any]) -> None:
        session = self.sessions.get(data["session_id"] or "")
        if data["token"] != self._world.settings.token:
            await connection.close(BAD_TOKEN)
        elif session is None:
            connection.send({"op": INVALID_SESSION, "d": False})
        else:
            for other in self.connections:
                other.session = None if other.session is session else other.session
            connection.session = session
            for payload in session.missed(int(data["seq"] or 0)):
                connection.send(payload)
            connection.send(session.tell("RESUMED", {}))


def _named(member: Member, begins: str) -> bool:
    return member.name.lower().startswith(begins)
