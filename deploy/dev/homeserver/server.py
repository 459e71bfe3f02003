"""Synapse process: started, stopped, killed, and restarted with the same data and port."""

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

# On an idle machine about 8 s when the tables have to be created, otherwise 4 s.
START_WITHIN_S = 90.0
STOP_WITHIN_S = 20.0
_POLL_S = 0.1
_CONCURRENT_REGISTRATIONS = 8
_LOG_BYTES = 64 * 1024
# Below the kernel's ports for outgoing connections, so that the port is still free after a restart of Synapse.
_PORTS = range(20_000, 30_000)
_SERVE = Path(__file__).with_name("serve.py")


class SynapseServer:
    """A Synapse with its own data, deleted by `close`. `settings` adds or overrides keys of Synapse's config.

    `url` is its base URL. Names of registered accounts end with a number, so that tests can share a server.
    """

    def __init__(
        self,
        lifted: bool = True,
        settings: Mapping[str, Any] | None = None,
        server_name: str = configuration.SERVER_NAME,
    ) -> None:
        self.server_name = server_name
        self._folder = tempfile.TemporaryDirectory(prefix="hearth-synapse-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._config, self._secret = configuration.write(self.folder, self.port, lifted, server_name, settings or {})
        # Looked up once: a test may change the environment later.
        self._python = test_services.synapse_python(os.environ)
        self._database = self.folder / configuration.DATABASE
        # Kept in the folder of this Synapse version for the next server: creating them takes half of a start.
        self._tables = self._python.parents[1] / "tables.db"
        self._process: subprocess.Popen[bytes] | None = None
        self._admin: Account | None = None
        self._accounts = 0

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """The last lines of its logs, without syncs, which are most of them."""
        lines = _last_lines(self.folder / "output.log") + _last_lines(self.folder / "homeserver.log")
        return "\n".join([line for line in lines if "/v3/sync" not in line][-40:])

    async def start(self) -> None:
        """Start with the same data and port as before, and wait for its first response. Raises AssertionError."""
        await asyncio.to_thread(self.start_now)

    async def stop(self, kill: bool = False) -> None:
        """Shut down, or `kill`; open connections break."""
        await asyncio.to_thread(self.stop_now, kill)

    def start_now(self) -> None:
        """Like `start`, without an event loop."""
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
        deadline = time.monotonic() + START_WITHIN_S
        while not self._answers():
            assert self.running, f"Synapse ended:\n{self.log}"
            assert time.monotonic() < deadline, f"Synapse did not answer within {START_WITHIN_S} s:\n{self.log}"
            time.sleep(_POLL_S)
        if is_new and not self._tables.exists():
            _copy_database(self._database, self._tables)

    def stop_now(self, kill: bool = False) -> None:
        """Like `stop`, without an event loop."""
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
        """Stop, and delete the data."""
        self.stop_now(kill=True)
        self._folder.cleanup()

    async def register(self, name: str, admin: bool = False) -> Account:
        """Register an account `name-N` with the display name `name` and one device."""
        self._accounts += 1
        localpart, password = f"{name}-{self._accounts}", secrets.token_hex(8)
        path = "/_synapse/admin/v1/register"
        async with aiohttp.ClientSession(self.url) as session:
            nonce = (await ask(session, "GET", path))["nonce"]
            words = (nonce, localpart, password, "admin" if admin else "notadmin")
            mac = hmac.new(self._secret.encode(), "\0".join(words).encode(), hashlib.sha1).hexdigest()
            body = {"nonce": nonce, "username": localpart, "password": password, "admin": admin, "mac": mac}
            registered = await ask(session, "POST", path, body | {"displayname": name})
        return Account(registered["user_id"], password, registered["access_token"], registered["device_id"])

    async def person(self, name: str, url: str = "") -> Person:
        """Register a user and start their client, which the caller closes."""
        return await Person.enter(url or self.url, await self.register(name))

    async def crowd(self, room: str, size: int) -> None:
        """Let `size` new users join a public room; each takes the server about 0.1 s."""
        limit = asyncio.Semaphore(_CONCURRENT_REGISTRATIONS)
        async with aiohttp.ClientSession(self.url) as session:

            async def register_and_join() -> None:
                async with limit:
                    guest = await self.register("guest")
                    await ask(session, "POST", f"{V3}/rooms/{quote(room)}/join", {}, guest.access_token)

            await asyncio.gather(*(register_and_join() for _ in range(size)))

    async def administer(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request of the admin API, `path` without the prefix `/_synapse/admin`."""
        self._admin = self._admin or await self.register("caretaker", admin=True)
        async with aiohttp.ClientSession(self.url) as session:
            return await ask(session, method, f"/_synapse/admin{path}", body, self._admin.access_token)

    async def lift_limits(self, user_id: str) -> None:
        """Exempt a user from rate limits, as admins do for a bot."""
        free = {"messages_per_second": 0, "burst_count": 0}
        await self.administer("POST", f"/v1/users/{quote(user_id)}/override_ratelimit", free)

    async def log_out(self, account: Account) -> None:
        """Delete a device with its token and keys, like the removal of an old session in a client."""
        await self.administer("DELETE", f"/v2/users/{quote(account.user_id)}/devices/{account.device_id}")

    async def log_in(self, account: Account, device_id: str = "") -> Account:
        """Log in with the password: as a new device, or with a new token for an old one."""
        identifier = {"type": "m.id.user", "user": account.user_id}
        body = {"type": "m.login.password", "identifier": identifier, "password": account.password}
        async with aiohttp.ClientSession(self.url) as session:
            login = await ask(session, "POST", f"{V3}/login", body | ({"device_id": device_id} if device_id else {}))
        return Account(account.user_id, account.password, login["access_token"], login["device_id"])

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/_matrix/client/versions")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _last_lines(log: Path) -> list[str]:
    """The lines in the last part of a log, which may be long."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_BYTES))
        return file.read().decode(errors="replace").splitlines()


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database that is in use; the copy appears atomically."""
    temporary = target.with_name(f"{target.name}.{os.getpid()}")
    with closing(sqlite3.connect(source)) as inner, closing(sqlite3.connect(temporary)) as outer:
        inner.backup(outer)
    temporary.replace(target)


def free_port() -> int:
    """A port on loopback that nothing listens on."""
    for port in random.sample(_PORTS, 50):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port on loopback")
