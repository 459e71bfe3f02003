"""Reading with the real child process, good files and bad."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from knowledge.reader import FileUnreadable, ReadDocument, SourceFile
from knowledge.reading.reader import ProcessReader
from knowledge.reading.settings import ReadingSettings
from tests.fakes.pdfs import pdf
from tests.fakes.until import until

ROOT = Path(__file__).parents[2]
ROGUE = (str(ROOT / "tests" / "fakes" / "rogue_child.py"),)
Write = Callable[[str, bytes], SourceFile]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, data: bytes) -> SourceFile:
        path = tmp_path / name
        path.write_bytes(data)
        return SourceFile(tmp_path, name)

    return write_file


@pytest.fixture
async def reader() -> AsyncIterator[ProcessReader]:
    reader = ProcessReader()
    yield reader
    await reader.close()


@pytest.fixture
async def rogue() -> AsyncIterator[ProcessReader]:
    reader = ProcessReader(ReadingSettings(time_limit_s=1.5, memory_limit_mb=200), child=ROGUE)
    yield reader
    await reader.close()


async def reason(reader: ProcessReader, source: SourceFile) -> str:
    with pytest.raises(FileUnreadable) as caught:
        await reader.read_file(source)
    return caught.value.reason


async def told(reader: ProcessReader) -> dict[str, Any]:
    """What the child says of itself."""
    (text,) = texts(await reader.read_bytes("tell.txt", b"x"))
    return dict(json.loads(text))


async def assert_reads(reader: ProcessReader) -> None:
    documents = await reader.read_bytes("good.md", b"# Good\n\nThis file is good.")
    assert [draft.text for draft in documents[0].drafts] == ["# Good\n\nThis file is good."]


def texts(documents: list[ReadDocument]) -> list[str]:
    return [draft.text for document in documents for draft in document.drafts]


async def test_every_kind_of_file_becomes_documents_with_places(reader: ProcessReader, write: Write) -> None:
    markdown = await reader.read_file(write("a.md", "# Étagère\n\nLe disque de sauvegarde est à la cave.".encode()))
    (document,) = markdown
    assert (document.document, document.title, document.language) == ("a.md", "Étagère", "fr")
    (draft,) = document.drafts
    assert (draft.place.heading, draft.place.start, draft.place.end) == (("Étagère",), 0, len(draft.text))

    (html,) = await reader.read_file(write("b.html", b"<h1>Shelf</h1><p>The backup drive lies in the cellar.</p>"))
    assert (html.title, html.language, html.drafts[0].place.heading) == ("Shelf", "en", ("Shelf",))

    (paged,) = await reader.read_file(
        write("c.pdf", pdf(["First page of the manual.", "\n".join(["Second page."] * 50)]))
    )
    assert [draft.place.page for draft in paged.drafts] == [1]

    rows = await reader.read_file(write("d.csv", b"name,port\nJellyfin,8096\nImmich,2283\n"))
    assert [(row.document, row.title, row.drafts[0].place.row) for row in rows] == [
        ("d.csv#row-1", "Jellyfin", 1),
        ("d.csv#row-2", "Immich", 2),
    ]

    good, bad = await reader.read_file(write("e.jsonl", b'{"a": "one"}\nnonsense\n'))
    assert (texts([good]), good.problem) == (["a: one"], "")
    assert (bad.document, bad.drafts) == ("e.jsonl#row-2", ())
    assert bad.problem.startswith("Line 2 cannot be read")


async def test_bytes_in_memory_are_read_like_a_file(reader: ProcessReader, write: Write) -> None:
    data = b"name,port\n" + b"Jellyfin,8096\n" * 2000
    source = write("a.csv", data)
    template = "{name} on {port}"
    from_disk = await reader.read_file(SourceFile(source.folder, "a.csv", template))
    assert await reader.read_bytes("a.csv", data, template) == from_disk
    assert len(from_disk) == 2000


async def test_a_long_document_comes_whole_and_in_order(reader: ProcessReader) -> None:
    paragraphs = [f"Paragraph {number} of a long text about the house." for number in range(5000)]
    documents = await reader.read_bytes("long.txt", "\n\n".join(paragraphs).encode())
    assert "\n\n".join(texts(documents)) == "\n\n".join(paragraphs)


async def test_reads_asked_at_once_are_each_answered(reader: ProcessReader) -> None:
    found = await asyncio.gather(*(reader.read_bytes(f"{number}.txt", b"text %d" % number) for number in range(50)))
    assert [texts(documents) for documents in found] == [[f"text {number}"] for number in range(50)]


BAD_FILES = [
    ("a.md", b"", "The file is empty."),
    ("a.txt", bytes(range(256)) * 400, "The file is not text: it holds binary data."),
    ("b.pdf", b"%PDF-1.4 and then nothing", "The PDF is broken: export it again."),
    (
        "c.pdf",
        (ROOT / "tests/data/encrypted.pdf").read_bytes(),
        "The PDF is encrypted: save a copy without a password.",
    ),
    (
        "d.pdf",
        pdf([""]),
        "The PDF has no text, only pictures (a scan): run it through text recognition (OCR) first, "
        "or install Hearth's extra `ocr`.",
    ),
    ("e.csv", b"name,port\n", "The file has no rows."),
    ("f.jsonl", b"nonsense\n", "Line 1 cannot be read: Expecting value at character 1."),
]


async def test_bad_files_get_their_sentences_and_the_next_is_read(reader: ProcessReader, write: Write) -> None:
    for name, data, sentence in BAD_FILES:
        assert await reason(reader, write(name, data)) == sentence
        await assert_reads(reader)


async def test_endless_lines_are_read_in_bounded_passages(reader: ProcessReader) -> None:
    for name, length in (("a.md", 9_999_999), ("a.txt", 1_000_000), ("a.html", 1_000_000)):
        found = texts(await reader.read_bytes(name, b"a" * length))
        assert max(map(len, found)) == 1000
        assert sum(map(len, found)) == length


async def test_a_huge_file_is_refused_by_its_size_alone(reader: ProcessReader, tmp_path: Path) -> None:
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(200_000_000)
    sentence = await reason(reader, SourceFile(tmp_path, "huge.txt"))
    assert sentence == "The file has 200.0 MB, and the limit is 50 MB: split it, or raise file_size_limit_mb."


async def test_more_bytes_than_the_limit_are_refused_before_they_travel() -> None:
    reader = ProcessReader(ReadingSettings(file_size_limit_mb=1), child=("-c", "raise SystemExit"))
    with pytest.raises(FileUnreadable, match="limit is 1 MB"):
        await reader.read_bytes("a.txt", b"x" * 1_000_001)


async def test_what_is_no_file_is_refused_without_waiting_for_it(reader: ProcessReader, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    assert "a pipe, a socket or a device" in await reason(reader, SourceFile(tmp_path, "pipe.md"))
    (tmp_path / "folder.md").mkdir()
    assert await reason(reader, SourceFile(tmp_path, "folder.md")) == "This is a folder, not a file."
    assert await reason(reader, SourceFile(tmp_path, "gone.md")) == "The file is gone."


@pytest.mark.parametrize(
    ("deed", "sentence"),
    [
        ("abort", "failed on it: it was ended by SIGABRT."),
        ("leave", "failed on it: it ended with status 7."),
        ("fail", "failed on it: AssertionError in rogue_child.py, line"),
        ("hang", "took longer than 1.5 s (time_limit_s) and was stopped."),
        ("spin", "took longer than 1.5 s (time_limit_s) and was stopped."),
        ("eat", "took more than 200 MB of memory (memory_limit_mb) and was stopped."),
        ("lie", "failed on it: it sent an answer out of place."),
    ],
)
async def test_a_parser_gone_wrong_loses_its_one_file(
    rogue: ProcessReader, write: Write, deed: str, sentence: str
) -> None:
    found = await reason(rogue, write(f"{deed}.txt", b"x"))
    assert sentence in found
    assert "secret" not in found
    await assert_reads(rogue)


@pytest.mark.parametrize(
    ("deed", "sentence"),
    [
        ("call", "NetworkDenied in network.py"),
        ("call_natively", "it tried to open a network connection"),
        ("launch", "NetworkDenied in network.py"),
    ],
)
async def test_a_parser_that_reaches_for_the_network_or_a_program_loses_its_file(
    rogue: ProcessReader, write: Write, deed: str, sentence: str
) -> None:
    if sys.platform != "linux" and deed == "call_natively":
        pytest.skip("Only Linux keeps native code from the network.")
    assert sentence in await reason(rogue, write(f"{deed}.txt", b"x"))
    await assert_reads(rogue)


async def test_an_error_of_a_parser_costs_the_process_nothing(rogue: ProcessReader, write: Write) -> None:
    first = await told(rogue)
    assert "AssertionError in rogue_child.py" in await reason(rogue, write("fail.txt", b"x"))
    assert (await told(rogue))["pid"] == first["pid"]


async def test_a_file_swapped_for_a_link_is_not_read(reader: ProcessReader, write: Write, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    write("secret.md", b"SECRET")
    (tmp_path / "home/a.md").symlink_to(tmp_path / "secret.md")
    assert "outside the folder" in await reason(reader, SourceFile(tmp_path / "home", "a.md"))


async def test_a_file_is_tried_again_when_the_process_that_failed_was_not_fresh(rogue: ProcessReader) -> None:
    await assert_reads(rogue)
    assert texts(await rogue.read_bytes("tire.txt", b"read at last")) == ["read at last"]


async def test_more_text_than_the_limit_is_not_taken_from_a_child_that_lies() -> None:
    reader = ProcessReader(ReadingSettings(text_limit_characters=100_000), child=ROGUE)
    with pytest.raises(FileUnreadable, match="more text than a file may hold"):
        await reader.read_bytes("flood.txt", b"x")
    await reader.close()


async def test_a_library_that_prints_breaks_nothing(rogue: ProcessReader) -> None:
    assert texts(await rogue.read_bytes("chatter.txt", b"still read")) == ["still read"]


async def test_a_process_that_died_between_files_is_replaced_unnoticed(rogue: ProcessReader) -> None:
    first = await told(rogue)
    os.kill(first["pid"], signal.SIGKILL)
    await assert_reads(rogue)
    assert (await told(rogue))["pid"] != first["pid"]


async def test_the_child_is_confined_and_knows_no_secrets(
    rogue: ProcessReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "very secret")
    about = await told(rogue)
    assert "very secret" not in str(about["environment"])
    assert set(about["environment"]) <= {
        *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
        *("RAYON_NUM_THREADS", "TOKIO_WORKER_THREADS", "MALLOC_ARENA_MAX", "ORT_DISABLE_TELEMETRY"),
        *("PYTHONPATH", "PYTHONSAFEPATH", "PYTHONUTF8"),
    }
    assert about["limits"] == {"CORE": 0, "FSIZE": 0, "NOFILE": 64}
    assert not {"llama_cpp", "discord", "nio", "onnxruntime", "fastembed", "usearch", "aiohttp"} & set(about["modules"])
    with pytest.raises(FileUnreadable, match="writing failed: File too large"):
        await rogue.read_bytes("write.txt", b"x")


def test_the_parent_loads_no_parser() -> None:
    code = "import sys, knowledge.reading.reader, knowledge.folder_scan; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    parsers = {
        "bs4",
        "markdownify",
        "markdown_it",
        "pypdfium2",
        "semantic_text_splitter",
        "py3langid",
        "charset_normalizer",
    }
    assert not parsers & set(modules.split())


async def test_the_process_is_replaced_after_its_share_of_files() -> None:
    reader = ProcessReader(ReadingSettings(files_per_process=2), child=ROGUE)
    pids = [(await told(reader))["pid"] for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]
    await reader.close()
    assert not psutil.pid_exists(pids[0])
    assert not psutil.pid_exists(pids[3])


async def test_an_idle_process_is_given_back_and_the_next_read_works() -> None:
    reader = ProcessReader(idle_s=0.0, child=ROGUE)
    try:
        pid = (await told(reader))["pid"]
        await until(lambda: not psutil.pid_exists(pid))
        await assert_reads(reader)
    finally:
        await reader.close()


async def test_closing_leaves_no_process_and_may_be_repeated(reader: ProcessReader) -> None:
    others = set(psutil.Process().children())  # servers that tests share
    await assert_reads(reader)
    assert set(psutil.Process().children()) - others
    await reader.close()
    await reader.close()
    assert not set(psutil.Process().children()) - others


async def test_a_cancelled_read_stops_the_child_and_the_next_read_works(rogue: ProcessReader) -> None:
    about = await told(rogue)
    task = asyncio.create_task(rogue.read_bytes("hang.txt", b"x"))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(about["pid"])
    await assert_reads(rogue)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("raise SystemExit(3)", "does not start: it ended with status 3"),
        ("print('hello there, this is no frame', flush=True)", "does not start: it sent an answer beyond all bounds"),
    ],
)
async def test_a_process_that_does_not_start_is_told_in_a_sentence(code: str, sentence: str) -> None:
    reader = ProcessReader(child=("-c", code))
    with pytest.raises(FileUnreadable, match=sentence):
        await reader.read_bytes("a.txt", b"x")
    await reader.close()


def test_the_child_dies_with_its_parent() -> None:
    code = (
        "import asyncio, sys\n"
        "from knowledge.reading.reader import ProcessReader\n"
        "async def main():\n"
        f"    reader = ProcessReader(child={ROGUE!r})\n"
        "    (document,) = await reader.read_bytes('tell.txt', b'x')\n"
        "    print(document.drafts[0].text, flush=True)\n"
        "    await reader.read_bytes('hang.txt', b'x')\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        child = psutil.Process(json.loads(parent.stdout.readline())["pid"])
        parent.kill()
        child.wait(timeout=60)
    assert not child.is_running()


async def test_of_a_log_above_the_limit_the_end_is_read_and_the_rest_is_told(write: Write) -> None:
    reader = ProcessReader(ReadingSettings(file_size_limit_mb=1))
    lines = "".join(f"{line:06}: the boiler was lit, caf\u00e9\n" for line in range(40_000))
    source = write("boiler.log", (lines + "040000: the boiler failed\n").encode())
    try:
        (document,) = await reader.read_file(source)
    finally:
        await reader.close()
    assert document.drafts[-1].text.endswith("040000: the boiler failed")
    assert document.drafts[0].text[:6].isdigit()
    assert "\ufffd" not in document.drafts[0].text
    assert document.unread.startswith("Only the last ")
    assert "of its 1.4 MB were read: file_size_limit_mb." in document.unread
