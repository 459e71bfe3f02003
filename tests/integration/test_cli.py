"""The program `hearth` as its users meet it: exit codes, JSON, sentences, and one process for all commands."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

ROOT = Path(__file__).parents[2]
BACKUP = "# The backup\n\nThe backup drive lives on shelf Quince, next to the label printer.\n"
ECHO = """
data_folder: data
http: {port: 0}
model: {engine: echo, echo: {tokens_per_s: 2000}}
core: {when_nothing_found: answer}
knowledge:
  embedding: {kind: hashing}
  collections:
    handbook: {folder: documents}
"""


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Home:
    """A folder with a config and a document, in which commands run."""

    def __init__(self, folder: Path, config: str = ECHO) -> None:
        self.folder = folder
        (folder / "documents").mkdir()
        (folder / "documents/backup.md").write_text(BACKUP, encoding="utf-8")
        (folder / "config.yaml").write_text(config, encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """The environment of commands."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"}
        environment.pop("HEARTH_CONFIG", None)
        return environment

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start a command with pipes."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot",
            *arguments,
            cwd=self.folder,
            env=self.environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=2**24,
        )

    async def run(self, *arguments: str, given: str = "") -> Ran:
        """Run a command to its end."""
        process = await self.start(*arguments)
        async with asyncio.timeout(120):
            out, err = await process.communicate(given.encode())
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """`hearth run`, ready, for as long as the context lasts."""
        process = await self.start("run")
        assert process.stderr is not None
        async with asyncio.timeout(120):
            while b"Hearth is ready" not in await process.stderr.readline():
                assert process.returncode is None
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.wait()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def message(text: str, **fields: Any) -> str:
    return json.dumps({"text": text, "author": "ada", **fields}) + "\n"


async def test_index_reports_what_changed_and_a_second_run_finds_nothing_to_do(home: Home) -> None:
    first = await home.run("index", "--json")
    assert first.code == 0
    assert {key: first.json()[key] for key in ("added", "changed", "removed", "unchanged", "failed")} == {
        "added": 1,
        "changed": 0,
        "removed": 0,
        "unchanged": 0,
        "failed": [],
    }
    second = await home.run("index", "--json")
    assert (second.json()["added"], second.json()["unchanged"]) == (0, 1)
    assert "1 unchanged" in (await home.run("index", "handbook")).out


async def test_index_exits_with_1_when_a_document_failed_and_names_the_kinds_left_out(home: Home) -> None:
    (home.folder / "documents/empty.md").touch()
    (home.folder / "documents/letter.xyz").touch()
    ran = await home.run("index")
    assert ran.code == 1
    assert ran.err.count("handbook/empty.md: The file is empty.") == 1
    assert "Left out, because their kind is not read: 1 files (1 .xyz)." in ran.err


async def test_linked_folders_and_long_logs_are_told_and_do_not_fail(home: Home) -> None:
    (home.folder / "elsewhere").mkdir()
    (home.folder / "documents/manuals").symlink_to(home.folder / "elsewhere")
    log = "".join(f"{line:06}: the boiler was lit\n" for line in range(50_000))
    (home.folder / "documents/boiler.log").write_text(log + "050000: the boiler failed for want of QUINCE\n", "utf-8")
    (home.folder / "config.yaml").write_text(
        ECHO.replace("embedding:", "reading: {text_limit_characters: 20000, file_size_limit_mb: 1}\n  embedding:"),
        encoding="utf-8",
    )
    ran = await home.run("index", "--json")
    assert ran.code == 0
    assert ran.json()["left_out"] == [{"collection": "handbook", "cause": "link", "name": "manuals/", "count": 1}]
    (part,) = ran.json()["partly_read"]
    assert (part["document"], "text_limit_characters" in part["reason"]) == ("boiler.log", True)
    found = (await home.run("search", "--json", "why did the boiler fail: QUINCE")).json()["hits"][0]
    assert found["document"] == "boiler.log"
    again = await home.run("index")
    assert again.code == 0
    assert "handbook/boiler.log, read in part: Only its last" in again.err
    assert "(handbook/manuals/)" in again.err
    doctor = await home.run("doctor", "--offline")
    assert "(handbook/manuals/)" in doctor.out
    assert "1 were read in part" in doctor.out


async def test_the_documents_of_the_index_are_listed_with_what_failed(home: Home) -> None:
    assert "Nothing is indexed yet" in (await home.run("documents")).out
    (home.folder / "documents/empty.md").touch()
    (home.folder / "documents/letter.xyz").touch()
    await home.run("index")
    ran = await home.run("documents")
    assert ran.code == 0
    backup, empty, left_out = ran.out.splitlines()
    assert backup.startswith("handbook/backup.md: ")
    assert empty == "handbook/empty.md: not read: The file is empty."
    assert "1 .xyz" in left_out
    failed = (await home.run("documents", "handbook", "--failed", "--json")).json()
    assert [file["path"] for file in failed["files"]] == ["empty.md"]
    assert failed["left_out"][0]["name"] == ".xyz"
    unknown = await home.run("documents", "nowhere")
    assert (unknown.code, "There is no collection 'nowhere'" in unknown.err) == (1, True)


async def test_a_running_hearth_that_watches_finds_new_documents_by_itself(home: Home) -> None:
    text = (home.folder / "config.yaml").read_text("utf-8")
    (home.folder / "config.yaml").write_text(text.replace("embedding:", "watch: true\n  embedding:"), encoding="utf-8")
    async with home.running(), asyncio.timeout(120):
        while not (await home.run("search", "--json", "backup drive")).json()["hits"]:
            await asyncio.sleep(0.1)
        (home.folder / "documents/boiler.md").write_text("# Boiler\n\nThe amber key resets the boiler.", "utf-8")
        while (await home.run("search", "--json", "amber key")).json()["hits"][0]["document"] != "boiler.md":
            await asyncio.sleep(0.1)
        assert (await home.run("index")).code == 0


async def test_an_emptied_folder_keeps_its_documents_until_their_removal_is_confirmed(home: Home) -> None:
    await home.run("index")
    (home.folder / "documents/backup.md").unlink()
    ran = await home.run("index")
    assert (ran.code, "0 removed" in ran.out) == (1, True)
    assert "handbook: 1 documents are missing, more than half, and stay in the index." in ran.err
    assert "hearth index --confirm-removals" in ran.err
    assert (await home.run("search", "--json", "backup drive")).json()["hits"]
    confirmed = await home.run("index", "--confirm-removals", "--json")
    assert (confirmed.code, confirmed.json()["removed"], confirmed.json()["withheld"]) == (0, 1, [])


async def test_no_command_with_another_config_removes_anything(home: Home) -> None:
    await home.run("index")
    other = ECHO.replace("handbook: {folder: documents}", "manual: {folder: documents}")
    (home.folder / "other.yaml").write_text(other, encoding="utf-8")
    for command in (["doctor", "--offline"], ["search", "drive"], ["ask", "drive?"]):
        await home.run(*command, "--config", "other.yaml")
    doctor = await home.run("doctor", "--offline", "--config", "other.yaml")
    assert "the config does not name: handbook (1 documents)" in doctor.out
    ran = await home.run("index", "--config", "other.yaml")
    assert ran.code == 1
    assert "handbook: this config does not name the collection; its 1 documents stay" in ran.err
    assert (await home.run("search", "--json", "backup drive")).json()["hits"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_index_that_is_stopped_says_so_and_exits_with_the_number_of_the_signal(
    home: Home, number: signal.Signals
) -> None:
    table = "name,port\n" + "".join(f"service {row},{row}\n" for row in range(45_000))
    (home.folder / "documents/table.csv").write_text(table, encoding="utf-8")
    process = await home.start("index")
    async with asyncio.timeout(120):
        while not (home.folder / "data/hearth.sock").exists():
            await asyncio.sleep(0.01)
        process.send_signal(number)
        _, err = await process.communicate()
    assert process.returncode == 128 + number
    assert b"Stopped. What was read so far stays in the index" in err
    assert b"Traceback" not in err


async def test_the_log_holds_no_text_at_any_level(home: Home) -> None:
    (home.folder / "config.yaml").write_text("log_level: debug\n" + ECHO, encoding="utf-8")
    (home.folder / "pay.txt").write_text("SALARYWORD of ada: 5000 euros", encoding="utf-8")
    process = await home.start("run")
    assert process.stderr is not None
    log = b""
    async with asyncio.timeout(120):
        while b"Hearth is ready" not in log:
            log += await process.stderr.readline()
        await home.run("index")
        asked = message("What about the QUESTIONWORD?", attachments=[{"path": "pay.txt"}], event_id="e1")
        lines = (asked, message("!sources", event_id="e2"), message("!forget", event_id="e3"))
        told = "".join([(await home.run("chat", "--jsonl", given=line)).out for line in lines])
        process.send_signal(signal.SIGTERM)
        log += await process.stderr.read()
        await process.wait()
    assert "QUESTIONWORD" in told
    assert "SALARYWORD" in told
    for word in (b"QUESTIONWORD", b"SALARYWORD", b"Quince"):
        assert word not in log
    assert b"aiosqlite" not in log


async def test_an_unknown_collection_is_told_with_the_known_ones(home: Home) -> None:
    ran = await home.run("index", "handbok")
    assert ran.code == 1
    assert "handbok" in ran.err
    assert "handbook" in ran.err
    assert "Traceback" not in ran.err


async def test_search_shows_passages_scores_and_ranks(home: Home) -> None:
    await home.run("index")
    found = (await home.run("search", "--json", "backup drive shelf")).json()
    (hit,) = found["hits"]
    assert (hit["collection"], hit["document"]) == ("handbook", "backup.md")
    assert "Quince" in hit["passage"]
    assert hit["place"]["heading"] == ["The backup"]
    assert hit["score"] > 0
    assert set(hit["ranks"].values()) == {1}
    told = (await home.run("search", "backup drive shelf")).out
    assert "handbook: backup.md" in told
    assert "Quince" in told


async def test_search_explains_each_part_of_a_score(home: Home) -> None:
    await home.run("index")
    (hit,) = (await home.run("search", "--explain", "--json", "backup zebra shelf")).json()["hits"]
    parts = hit["explanation"]
    assert parts["lexical"] + parts["vector"] + parts["context"] == pytest.approx(hit["score"], abs=1e-5)
    assert [word["word"] for word in parts["words"] if not word["share"]] == ["zebra"]
    told = (await home.run("search", "--explain", "backup zebra shelf")).out
    assert "= words" in told
    assert "No passage has these words of the question: zebra." in told


async def test_eval_measures_a_judged_set_apart_from_the_documents(home: Home) -> None:
    judged = home.folder / "judged"
    judged.mkdir()
    documents = {"drive": "The backup drive lies on shelf Quince.", "bins": "Bins are collected on Tuesday."}
    rows = [json.dumps({"_id": key, "title": "", "text": text}) for key, text in documents.items()]
    (judged / "corpus.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (judged / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "Which shelf has the drive?"}))
    (judged / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\tdrive\t1\n")
    ran = await home.run("eval", "retrieval", "judged", "--json")
    assert ran.code == 0, ran.err
    (result,) = ran.json()["sets"]
    assert (result["name"], result["documents"], result["questions"]) == ("judged", 2, 1)
    assert result["rankings"]["fused"] == dict.fromkeys(result["rankings"]["fused"], 1.0)
    told = await home.run("eval", "retrieval", "judged")
    assert "nDCG@10" in told.out
    assert "fused" in told.out
    assert not (home.folder / "data").exists()
    failed = await home.run("eval", "retrieval", "documents")
    assert (failed.code, "holds no judged set" in failed.err) == (1, True)


async def test_ask_prints_the_answer_and_its_sources(home: Home) -> None:
    await home.run("index")
    ran = await home.run("ask", "Where does the backup drive live?")
    assert ran.code == 0
    assert ran.out.startswith("Where does the backup drive live?")
    assert "[1] handbook: backup.md › The backup" in ran.out


async def test_ask_as_json_has_answer_sources_and_timings(home: Home) -> None:
    await home.run("index")
    ran = await home.run("ask", "--json", "-", given="Where does the backup drive live?")
    result = ran.json()
    assert ran.code == 0
    assert "Where does the backup drive live?" in result["answer"]
    (source,) = result["sources"]
    assert {"document", "place", "passage", "score"} <= source.keys()
    assert {"prefilled_tokens", "reused_tokens", "first_token_s", "total_s"} <= result["timings"].keys()
    assert result["timings"]["generated_tokens"] > 0


async def test_json_lines_are_answered_and_bad_ones_told(home: Home) -> None:
    await home.run("index")
    given = message("Where is the drive?", conversation="kitchen", event_id="e1")
    given += "nonsense\n" + message("!help", conversation="hall", event_id="e2")
    ran = await home.run("chat", "--jsonl", given=given)
    assert ran.code == 0
    events = ran.lines()
    assert {event["event_id"] for event in events if event["event"] == "finished"} == {"e1", "e2"}
    assert [event["line"] for event in events if event["event"] == "error"] == [2]
    kinds = [event["event"] for event in events if event.get("event_id") == "e1"]
    assert kinds[0] == "received"
    assert kinds.index("text") < kinds.index("finished") == len(kinds) - 1


async def test_the_same_lines_again_are_not_answered_again(home: Home) -> None:
    given = message("Hello?", event_id="e1")
    await home.run("chat", "--jsonl", given=given)
    ran = await home.run("chat", "--jsonl", given=given + message("Hello again?", event_id="e2"))
    assert [event["event_id"] for event in ran.lines() if event["event"] == "finished"] == ["e2"]
    assert [event["event_id"] for event in ran.lines() if event["event"] == "ignored"] == ["e1"]


async def test_json_lines_come_from_and_go_to_regular_files(home: Home) -> None:
    (home.folder / "in.jsonl").write_text(message("Hello?", event_id="e1"), encoding="utf-8")
    with (home.folder / "in.jsonl").open("rb") as given, (home.folder / "out.jsonl").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "chat", "--jsonl"),
            cwd=home.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=given,
            stdout=out,
        )
        async with asyncio.timeout(120):
            assert await process.wait() == 0
    kinds = [json.loads(line)["event"] for line in (home.folder / "out.jsonl").read_text().splitlines()]
    assert kinds[-1] == "finished"


async def test_while_a_process_runs_every_command_goes_through_it(home: Home) -> None:
    async with home.running():
        assert (await home.run("index", "--json")).json()["added"] == 1
        assert (await home.run("search", "--json", "backup drive")).json()["hits"]
        answered, chatted = await asyncio.gather(
            home.run("ask", "--json", "Where is the backup drive?"),
            home.run("chat", "--jsonl", given=message("Hello?", event_id="e1") + "nonsense\n"),
        )
        assert answered.json()["sources"]
        assert chatted.code == 0
        assert [event["line"] for event in chatted.lines() if event["event"] == "error"] == [2]
        assert [event["event"] for event in chatted.lines()][-1] == "finished"
        doctor = (await home.run("doctor", "--json")).json()
        assert doctor["healthy"]


async def test_a_second_process_on_the_same_folder_is_refused_with_the_first_ones_id(home: Home) -> None:
    async with home.running() as process:
        ran = await home.run("run")
    assert ran.code == 1
    assert f"process {process.pid}" in ran.err


async def test_sigterm_ends_run_without_failure_and_frees_the_folder(home: Home) -> None:
    async with home.running() as process:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(120):
            assert await process.wait() == 0
    assert not (home.folder / "data/hearth.sock").exists()
    assert (await home.run("index")).code == 0


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signals_during_the_stop_leave_the_answer_to_the_next_start(home: Home, first: signal.Signals) -> None:
    slow = ECHO.replace("tokens_per_s: 2000", "tokens_per_s: 1") + "log_level: info\n"
    (home.folder / "config.yaml").write_text(slow, encoding="utf-8")
    async with home.running() as process:
        client = await home.start("chat", "--jsonl")
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(message("Say all of these words one after the other please", event_id="e1").encode())
        async with asyncio.timeout(120):
            while b'"text"' not in await client.stdout.readline():
                pass
            for number in (first, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                process.send_signal(number)
                await asyncio.sleep(0.05)
            assert process.stderr is not None
            err = await process.stderr.read()
            assert await process.wait() == 0
            await client.communicate()
    assert b"Traceback" not in err
    with closing(sqlite3.connect(home.folder / "data/history.sqlite3")) as history:
        assert history.execute("SELECT state, crashes FROM messages").fetchall() == [("received", 0)]


async def test_after_a_kill_the_next_command_takes_over(home: Home) -> None:
    async with home.running() as process:
        process.kill()
        await process.wait()
    assert (await home.run("ask", "Hello?")).code == 0


async def test_a_client_of_a_process_that_dies_is_told(home: Home) -> None:
    async with home.running() as process:
        client = await home.start("chat", "--jsonl")
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(message("Hello?", event_id="e1").encode())
        async with asyncio.timeout(120):
            await client.stdout.readline()
            process.kill()
            _, err = await client.communicate()
        assert client.returncode == 1
        assert b"Hearth has ended" in err


async def test_a_run_serves_health_readiness_and_metrics(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (home.folder / "config.yaml").write_text(ECHO.replace("port: 0", f"port: {port}"), encoding="utf-8")
    async with home.running(), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        await home.run("ask", "Where is the backup drive?")
        async with client.get("/healthz") as response:
            assert response.status == 200
        async with client.get("/readyz") as response:
            assert (response.status, await response.json()) == (200, {"ready": True, "reasons": []})
        async with client.get("/metrics") as response:
            text = await response.text()
    assert 'hearth_answers_total{outcome="answered"} 1.0' in text
    assert "hearth_loop_lag_seconds_count" in text


async def test_a_taken_port_is_told_in_a_sentence(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (home.folder / "config.yaml").write_text(ECHO.replace("port: 0", f"port: {port}"), encoding="utf-8")
        ran = await home.run("run")
        assert ran.code == 1
        assert f"port {port}" in ran.err
        assert "Traceback" not in ran.err
        doctor = await home.run("doctor", "--json")
        assert doctor.code == 1
        assert [check["name"] for check in doctor.json()["checks"] if check["status"] == "problem"] == ["http"]


async def test_three_faults_in_the_config_are_all_named_and_exit_with_2(home: Home) -> None:
    faulty = "core: {prompt_passages: many}\nhtp: {}\nknowledge: {collections: {a: {foldr: x, folder: y}}}\n"
    (home.folder / "config.yaml").write_text(faulty, encoding="utf-8")
    for command in (["config", "check"], ["run"], ["ask", "x"], ["chat", "--jsonl"], ["index"], ["models", "list"]):
        ran = await home.run(*command)
        assert ran.code == 2, command
        assert len(ran.err.splitlines()) == 3
        for fault in (
            "config.yaml:1: core.prompt_passages",
            "config.yaml:2: htp",
            "config.yaml:3: knowledge.collections.a.foldr",
        ):
            assert fault in ran.err
    told = await home.run("config", "check", "--json")
    assert (told.code, len(told.json()["faults"])) == (2, 3)
    assert (await home.run("doctor")).code == 1


async def test_wrong_usage_exits_with_2(home: Home) -> None:
    assert (await home.run("ask")).code == 2
    assert (await home.run("sing")).code == 2


async def test_a_missing_model_is_told_in_a_sentence(home: Home) -> None:
    missing = ECHO.replace("engine: echo", "engine: llama") + "weights: {chat: {source: path, path: no/such.gguf}}\n"
    (home.folder / "config.yaml").write_text(missing, encoding="utf-8")
    ran = await home.run("ask", "Hello?")
    assert ran.code == 1
    assert "no/such.gguf" in ran.err
    assert "Traceback" not in ran.err
    doctor = await home.run("doctor", "--json")
    assert doctor.code == 1
    assert [check["name"] for check in doctor.json()["checks"] if check["status"] == "problem"] == ["weights.chat"]


async def test_indexing_works_without_the_language_model(home: Home) -> None:
    missing = ECHO.replace("engine: echo", "engine: llama") + "weights: {chat: {source: path, path: no/such.gguf}}\n"
    (home.folder / "config.yaml").write_text(missing, encoding="utf-8")
    assert (await home.run("index", "--json")).json()["added"] == 1
    assert (await home.run("search", "--json", "backup drive")).json()["hits"]


async def test_models_are_listed_with_where_they_come_from(home: Home) -> None:
    (home.folder / "config.yaml").write_text("weights: {chat: {source: path, path: small.gguf}}\n", encoding="utf-8")
    (home.folder / "small.gguf").write_bytes(b"GGUF")
    (chat, *_) = (await home.run("models", "list", "--json")).json()["models"]
    assert (chat["use"], chat["source"], chat["size_bytes"]) == ("chat", "path", 4)
    assert chat["path"] == str(home.folder / "small.gguf")


async def test_output_that_nobody_reads_ends_the_program_with_a_sentence(home: Home) -> None:
    process = await home.start("chat", "--jsonl")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(message("one", event_id="e1").encode())
    await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]
    for number in range(50):
        process.stdin.write(message("more", event_id=f"m{number}").encode())
    async with asyncio.timeout(120):
        err = await process.stderr.read()
        assert await process.wait() == 1
    assert b"The console's answers cannot be delivered" in err
    assert b"Traceback" not in err
