"""Synapse as a process: started, stopped, killed and started again on the same data and port."""

import asyncio
import hashlib
import hmac
import http.client
import os
import random
import secrets
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from deploy.build import test_services
from deploy.dev.homeserver import configuration
from deploy.dev.homeserver.account import V3, Account, ask
from deploy.dev.homeserver.person import Person

# On an idle machine about 8 s where the tables are made, and 4 s where they are there.
START_WITHIN_S = 90.0
STOP_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.1
_AT_ONCE = 8
_LOG_BYTES = 64 * 1024
# Below the ports that the kernel gives to outgoing connections: free again when Synapse comes back.
_PORTS = range(20_000, 30_000)
_SERVE = Path(__file__).with_name("serve.py")


class SynapseServer:
    """A Synapse with data of its own, gone with `close`. Other settings than ours: Synapse's own names.

    `url` is where clients connect, `log` everything it told. Accounts made here get a number behind their name, so
    that tests can share a server.
    """

    server_name = configuration.SERVER_NAME

    def __init__(self, lifted: bool = True, settings: Mapping[str, Any] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hearth-synapse-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._config, self._secret = configuration.write(self.folder, self.port, lifted, settings or {})
        # Asked once: a test may change the environment later.
        self._python = test_services.synapse_python(os.environ)
        self._database = self.folder / configuration.DATABASE
        # Beside this version of Synapse, for the next server: making them takes half of a start.
        self._tables = self._python.parents[1] / "tables.db"
        self._process: subprocess.Popen[bytes] | None = None
        self._admin: Account | None = None
        self._accounts = 0

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """The last lines it wrote, syncs left out, which are most of them."""
        told = _end(self.folder / "output.log") + _end(self.folder / "homeserver.log")
        return "\n".join([line for line in told if "/v3/sync" not in line][-40:])

    async def start(self) -> None:
        """Start, on the data and port it had before, and wait until it answers; AssertionError with its log if not."""
        await asyncio.to_thread(self.start_now)

    async def stop(self, kill: bool = False) -> None:
        """Stop in order, or without a warning; connections that are open break."""
        await asyncio.to_thread(self.stop_now, kill)

    def start_now(self) -> None:
        """`start`, for where no loop runs."""
        if self.running:
            return
        is_new = not self._database.exists()
        if is_new and self._tables.exists():
            shutil.copy(self._tables, self._database)
        with (self.folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                [self._python, "-P", _SERVE, "--config-path", self._config],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": os.defpath},
            )
        until = time.monotonic() + START_WITHIN_S
        while not self._answers():
            assert self.running, f"Synapse ended:\n{self.log}"
            assert time.monotonic() < until, f"Synapse did not answer within {START_WITHIN_S} s:\n{self.log}"
            time.sleep(_LOOK_EVERY_S)
        if is_new and not self._tables.exists():
            _copy_database(self._database, self._tables)

    def stop_now(self, kill: bool = False) -> None:
        """`stop`, for where no loop runs."""
        if self._process is None:
            return
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None

    def close(self) -> None:
        """Stop and remove the data."""
        self.stop_now(kill=True)
        self._folder.cleanup()

    async def register(self, name: str, admin: bool = False) -> Account:
        """Make an account `name-N` with that display name and one device."""
        self._accounts += 1
        localpart, password = f"{name}-{self._accounts}", secrets.token_hex(8)
        path = "/_synapse/admin/v1/register"
        async with aiohttp.ClientSession(self.url) as session:
            nonce = (await ask(session, "GET", path))["nonce"]
            words = (nonce, localpart, password, "admin" if admin else "notadmin")
            mac = hmac.new(self._secret.encode(), "\0".join(words).encode(), hashlib.sha1).hexdigest()
            body = {"nonce": nonce, "username": localpart, "password": password, "admin": admin, "mac": mac}
            made = await ask(session, "POST", path, body | {"displayname": name})
        return Account(made["user_id"], password, made["access_token"], made["device_id"])

    async def person(self, name: str, url: str = "") -> Person:
        """Register somebody and start their client, which hears everything from now on; close it at the end."""
        return await Person.enter(url or self.url, await self.register(name))

    async def crowd(self, room: str, size: int) -> None:
        """Let so many new people join a public room; each costs the server about 0.1 s."""
        turn = asyncio.Semaphore(_AT_ONCE)
        async with aiohttp.ClientSession(self.url) as session:

            async def come() -> None:
                async with turn:
                    guest = await self.register("guest")
                    await ask(session, "POST", f"{V3}/rooms/{quote(room)}/join", {}, guest.access_token)

            await asyncio.gather(*(come() for _ in range(size)))

    async def administer(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request of the admin API, `path` from behind `/_synapse/admin`."""
        self._admin = self._admin or await self.register("caretaker", admin=True)
        async with aiohttp.ClientSession(self.url) as session:
            return await ask(session, method, f"/_synapse/admin{path}", body, self._admin.access_token)

    async def lift_limits(self, user_id: str) -> None:
        """Let a user send as fast as it likes, which is what admins do for a bot."""
        free = {"messages_per_second": 0, "burst_count": 0}
        await self.administer("POST", f"/v1/users/{quote(user_id)}/override_ratelimit", free)

    async def log_out(self, account: Account) -> None:
        """Take a device's token and keys away, as somebody does who removes an old session."""
        await self.administer("DELETE", f"/v2/users/{quote(account.user_id)}/devices/{account.device_id}")

    async def log_in(self, account: Account, device_id: str = "") -> Account:
        """Log in with the password: a new device, or a new token for an old one."""
        who = {"type": "m.id.user", "user": account.user_id}
        body = {"type": "m.login.password", "identifier": who, "password": account.password}
        async with aiohttp.ClientSession(self.url) as session:
            made = await ask(session, "POST", f"{V3}/login", body | ({"device_id": device_id} if device_id else {}))
        return Account(account.user_id, account.password, made["access_token"], made["device_id"])

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/_matrix/client/versions")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _end(log: Path) -> list[str]:
    """The lines in the last part of a log that may be long."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_BYTES))
        return file.read().decode(errors="replace").splitlines()


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database that is in use; the copy is there whole or not at all."""
    made = target.with_name(f"{target.name}.{os.getpid()}")
    with closing(sqlite3.connect(source)) as inner, closing(sqlite3.connect(made)) as outer:
        inner.backup(outer)
    made.replace(target)


def _free_port() -> int:
    for port in random.sample(_PORTS, 50):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port on loopback")
