"""`hearth matrix login` and `hearth matrix status` as an admin meets them, on a real Synapse."""

import asyncio
import json
import os
import pty
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock

from adapters.matrix import credentials as kept
from adapters.matrix.adapter import FOLDER
from bot.server.folder_lock import LOCK_NAME
from deploy.dev.homeserver import SynapseServer
from deploy.dev.homeserver.account import Account
from tests.integration.matrix.signed_device import new_credentials, opened
from tests.integration.matrix.test_identity import assert_chained, served

ROOT = Path(__file__).parents[3]
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>])")


class Ran(NamedTuple):
    code: int | None
    out: str
    err: str


class House:
    """A folder with a config in which commands run, and an account on the homeserver."""

    def __init__(self, folder: Path, homeserver: SynapseServer, account: Account) -> None:
        self.folder = folder
        self.homeserver = homeserver
        self.account = account
        (folder / "config.yaml").write_text("data_folder: data\n", encoding="utf-8")

    @property
    def kept(self) -> kept.Credentials:
        return kept.load_credentials(self.folder / "data" / FOLDER)

    def environment(self, **more: str) -> dict[str, str]:
        whole = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb", "SECRET": self.account.password, **more}
        whole.pop("HEARTH_CONFIG", None)
        return whole

    async def run(self, *arguments: str) -> Ran:
        """Run a command; its output holds no secret, whatever it says."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "matrix", *arguments),
            cwd=self.folder,
            env=self.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(90):
            out, err = await process.communicate()
        told = out.decode() + err.decode()
        assert "Traceback" not in told
        secrets = [self.account.password, self.account.access_token]
        if (self.folder / "data" / FOLDER / "credentials.json").exists():
            secrets += [self.kept.access_token, self.kept.store_key]
        assert not [secret for secret in secrets if secret in told]
        return Ran(process.returncode, " ".join(out.decode().split()), " ".join(err.decode().split()))

    async def login(self, *arguments: str) -> Ran:
        where = ("--homeserver", self.homeserver.url, "--user", self.account.user_id)
        return await self.run("login", *where, "--password-env", "SECRET", *arguments)

    async def assert_signed(self) -> None:
        shown = await served(self.homeserver, self.account.user_id)
        assert_chained(shown, self.account.user_id, self.kept.device_id)

    async def be_set_up_by_another_program(self) -> None:
        """The account has cross-signing keys that are not Hearth's."""
        made = new_credentials(self.homeserver.url, self.account, self.folder / "element")
        async with opened(self.folder / "element", made) as program:
            await program.own.check_signature()


@pytest.fixture
async def house(tmp_path: Path, homeserver: SynapseServer) -> House:
    return House(tmp_path, homeserver, await homeserver.register("hearth"))


async def test_a_login_tells_what_is_set_up_and_what_comes_next_and_status_how_it_stands(house: House) -> None:
    before = await house.run("status")
    assert (before.code, "hearth matrix login" in before.err) == (1, True)
    ran = await house.login()
    assert ran.code == 0, ran.err
    assert f"Logged in: {house.account.user_id}" in ran.out
    assert "signed by its owner" in ran.out
    assert "enabled: true" in ran.out
    await house.assert_signed()
    async with opened(house.folder / "data" / FOLDER, house.kept) as bot:
        await bot.own.add_verifier("@ada:house.test")
    told = await house.run("status")
    assert told.code == 0
    assert "Verified by @ada:house.test (" in told.out
    status = json.loads((await house.run("status", "--json")).out)
    ((verifier,),) = (status.pop("verified_by"),)
    assert verifier["user_id"] == "@ada:house.test"
    assert status == {
        "user_id": house.account.user_id,
        "device_id": house.kept.device_id,
        "homeserver": house.homeserver.url,
        "signed": True,
        "state": "signed",
    }


async def test_a_second_login_needs_to_be_asked_for(house: House) -> None:
    await house.login()
    first = house.kept
    refused = await house.login()
    assert (refused.code, "--again" in refused.err) == (1, True)
    assert house.kept == first
    ran = await house.login("--again")
    assert ran.code == 0, ran.err
    assert "the same device as before" in ran.out
    await house.homeserver.log_out(Account(house.account.user_id, "", "", first.device_id))
    gone = await house.run("status")
    assert (gone.code, "no longer knows the access token" in gone.err) == (1, True)


async def test_keys_of_another_program_are_replaced_only_when_that_is_said(house: House) -> None:
    await house.be_set_up_by_another_program()
    before = await served(house.homeserver, house.account.user_id)
    ran = await house.login()
    assert ran.code == 1
    assert "everyone who has verified the account is warned" in ran.err
    assert (await served(house.homeserver, house.account.user_id))["master"] == before["master"]
    told = await house.run("status", "--json")
    assert (told.code, json.loads(told.out)["state"]) == (1, "foreign_keys")
    ran = await house.login("--again", "--replace-keys")
    assert ran.code == 0, ran.err
    await house.assert_signed()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--password-env", "NOTHING"), 1, "NOTHING is not set"),
        (("--homeserver", "what is this"), 1, "names no homeserver"),
        (("--token-env", "SECRET"), 2, "belong together"),
    ],
)
async def test_what_goes_wrong_is_a_sentence(
    house: House, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    ran = await house.login(*arguments)
    assert (ran.code, sentence in ran.err) == (code, True), ran.err
    assert not (house.folder / "data" / FOLDER).exists()


async def test_a_login_is_refused_while_another_process_owns_the_data_folder(house: House) -> None:
    (house.folder / "data").mkdir(mode=0o700)
    with FileLock(house.folder / "data" / LOCK_NAME):
        ran = await house.login()
    assert (ran.code, "in use by another process" in ran.err) == (1, True), ran.err


class Terminal:
    """What a command printed, and lines to type."""

    def __init__(self, fd: int, process: asyncio.subprocess.Process) -> None:
        self._fd, self.process = fd, process
        self.text = ""
        asyncio.get_running_loop().add_reader(fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._fd)
        self.text += ESCAPES.sub("", data.decode(errors="replace"))

    async def answer(self, question: str, line: str) -> None:
        async with asyncio.timeout(60):
            while question not in self.text:
                assert self.process.returncode is None, self.text
                await asyncio.sleep(0.02)
        os.write(self._fd, f"{line}\r".encode())


@asynccontextmanager
async def at_a_terminal(house: House, *arguments: str) -> AsyncIterator[Terminal]:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "matrix", *arguments),
        cwd=house.folder,
        env=house.environment(TERM="xterm", COLUMNS="200", LINES="40"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    terminal = Terminal(ours, process)
    try:
        yield terminal
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


async def test_what_is_not_given_is_asked_for_and_the_password_is_not_shown(house: House) -> None:
    await house.be_set_up_by_another_program()
    async with at_a_terminal(house, "login") as terminal:
        await terminal.answer("Account or homeserver:", house.homeserver.url)
        await terminal.answer("User:", house.account.user_id)
        await terminal.answer(f"Password of {house.account.user_id}:", house.account.password)
        await terminal.answer("Replace them?", "y")
        async with asyncio.timeout(60):
            assert await terminal.process.wait() == 0, terminal.text
        assert house.account.password not in terminal.text
    await house.assert_signed()
    async with at_a_terminal(house, "login") as terminal:
        await terminal.answer("Log in again?", "")
        async with asyncio.timeout(60):
            assert await terminal.process.wait() == 1
