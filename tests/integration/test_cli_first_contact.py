"""The program `hearth` as a newcomer meets it: names, exit codes, and several commands at once."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from bot.server.folder_lock import FolderLock
from tests.integration.test_cli import ECHO, Home, message


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


async def test_a_config_is_named_before_or_after_the_command(home: Home) -> None:
    (home.folder / "config.yaml").rename(home.folder / "other.yaml")
    (home.folder / "wrong.yaml").write_text("htp: {}\n", encoding="utf-8")
    for arguments in (
        ["--config", "other.yaml", "index"],
        ["index", "--config", "other.yaml"],
        ["--config", "wrong.yaml", "index", "--config", "other.yaml"],
        ["--config", "other.yaml", "config", "check"],
    ):
        ran = await home.run(*arguments)
        assert ran.code == 0, (arguments, ran.err)
    assert (await home.run("--config", "wrong.yaml", "index")).code == 2
    assert (await home.run("--config", "wrong.yaml", "doctor", "--offline")).code == 1


async def test_an_unknown_command_is_told_with_the_nearest_one(home: Home) -> None:
    ran = await home.run("aks", "Where?")
    assert ran.code == 2
    assert "Did you mean `ask`?" in ran.err
    assert "Did you mean" not in (await home.run("xyzzy")).err


async def test_the_config_of_another_program_is_told_and_not_used(home: Home) -> None:
    (home.folder / "config.yaml").write_text("services: {web: {image: nginx}}\n", encoding="utf-8")
    ran = await home.run("config", "check")
    assert ran.code == 0
    assert "./config.yaml is not used" in ran.err
    named = await home.run("config", "check", "config.yaml")
    assert (named.code, "services" in named.err) == (2, True)


async def test_the_config_is_shown_without_its_defaults(home: Home) -> None:
    shown = (await home.run("config", "show", "--json")).json()
    assert shown["data_folder"] == str(home.folder / "data")
    assert list(shown["knowledge"]["collections"]) == ["handbook"]
    assert "log_level" not in shown
    assert "log_level" in (await home.run("config", "show", "--all", "--json")).json()
    assert "engine: echo" in (await home.run("config", "show")).out


async def test_a_first_config_is_written_once_and_is_in_order(home: Home) -> None:
    first = await home.run("init", "documents", "--file", "first.yaml")
    assert (first.code, "hearth models get" in first.out) == (0, True)
    assert (await home.run("config", "check", "first.yaml")).code == 0
    again = await home.run("init", "documents", "--file", "first.yaml")
    assert (again.code, "is there already" in again.err) == (1, True)
    assert (await home.run("init", "nowhere", "--file", "second.yaml")).code == 1
    assert not (home.folder / "second.yaml").exists()


async def test_a_config_without_model_files_says_so(home: Home) -> None:
    ran = await home.run("models", "list")
    assert "needs no model files" in ran.out


async def test_status_tells_whether_hearth_runs_and_what_is_indexed(home: Home) -> None:
    stopped = await home.run("status")
    assert (stopped.code, "does not run" in stopped.out) == (1, True)
    assert not (home.folder / "data").exists()
    await home.run("index")
    async with home.running() as process:
        status = await home.run("status", "--json")
        told = await home.run("status")
    assert (status.code, status.json()["pid"]) == (0, process.pid)
    assert [each["documents"] for each in status.json()["collections"]] == [1]
    assert "handbook: 1 documents, 1 passages" in told.out


async def test_nothing_indexed_yet_is_told_with_the_way_out(home: Home) -> None:
    (home.folder / "config.yaml").write_text(ECHO.replace("core: {when_nothing_found: answer}\n", ""), encoding="utf-8")
    for arguments in (["search", "backup drive"], ["ask", "Where is the backup drive?"], ["doctor", "--offline"]):
        assert "hearth index" in (await home.run(*arguments)).out, arguments
    await home.run("index")
    assert "Nothing is indexed" not in (await home.run("search", "xyzzy")).out


async def test_index_fails_when_a_document_or_a_folder_could_not_be_read(home: Home) -> None:
    assert (await home.run("index")).code == 0
    (home.folder / "documents" / "bad.pdf").write_bytes(b"no PDF")
    ran = await home.run("index")
    assert ran.code == 1
    assert ran.err.count("bad.pdf") == 1
    missing = ECHO + "    gone: {folder: gone}\n"
    (home.folder / "config.yaml").write_text(missing, encoding="utf-8")
    (home.folder / "documents" / "bad.pdf").unlink()
    ran = await home.run("index")
    assert (ran.code, "does not exist" in ran.err) == (1, True)


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_a_command_that_was_stopped_did_not_succeed(home: Home, stop: signal.Signals, code: int) -> None:
    process = await home.start("chat", "--jsonl")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(message("one", event_id="e1").encode())
    async with asyncio.timeout(120):
        assert await process.stdout.readline()
        process.send_signal(stop)
        await process.communicate()
    assert process.returncode == code


async def test_questions_at_once_are_all_answered_without_a_running_hearth(home: Home) -> None:
    slow = ECHO.replace("tokens_per_s: 2000", "tokens_per_s: 20")
    (home.folder / "config.yaml").write_text(slow, encoding="utf-8")
    question = "Say all of this back to me, word for word and slowly, number"
    ran = await asyncio.gather(*(home.run("ask", f"{question} {number}") for number in range(3)))
    assert [each.code for each in ran] == [0, 0, 0], [each.err for each in ran]
    assert [f"{number}" in each.out for number, each in enumerate(ran)] == [True, True, True]


async def test_run_waits_for_work_that_ends_by_itself(home: Home) -> None:
    lock = FolderLock(home.folder / "data", "indexing documents")
    lock.acquire()
    process = await home.start("run")
    assert process.stderr is not None
    try:
        async with asyncio.timeout(120):
            while b"is indexing documents; waiting for it" not in await process.stderr.readline():
                assert process.returncode is None
            lock.release()
            while b"Hearth is ready" not in await process.stderr.readline():
                assert process.returncode is None
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        lock.release()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_user_without_a_name_asks_as_everybody_does(home: Home) -> None:
    nameless = "import getpass, pwd; pwd.getpwuid = lambda uid: (_ for _ in ()).throw(KeyError(uid))"
    command = (
        f"{nameless}; import sys; sys.argv = ['hearth', 'ask', 'Where is it?']; from bot.__main__ import main; main()"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", command),
        cwd=home.folder,
        env={
            key: value
            for key, value in home.environment().items()
            if key not in ("LOGNAME", "USER", "LNAME", "USERNAME")
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    assert (process.returncode, b"Where is it?" in out) == (0, True), err
