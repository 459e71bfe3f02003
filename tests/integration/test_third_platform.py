"""A platform from a package of its own, as docs/platforms.md shows it, in the real program."""

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/platforms.md"
PACKAGE = ROOT / "tests/data/hearth_tin"
CONFIG = """
data_folder: data
http: {{enabled: false}}
model: {{engine: echo, echo: {{tokens_per_s: 2000}}}}
core: {{when_nothing_found: answer, language: {language}}}
knowledge: {{embedding: {{kind: hashing}}}}
{sections}
"""
WITHIN_S = 60


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


class Installation:
    """A folder with a config and a second folder with packages, where the program runs. Nothing else is touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages = folder / "packages"
        shutil.copytree(PACKAGE, self.packages / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
        self.register("tin")

    def register(self, name: str) -> None:
        """Write what an installer leaves of a package `hearth_NAME`."""
        metadata = f"Metadata-Version: 2.1\nName: hearth-{name}\nVersion: 0.1\n"
        entry_points = f"[hearth.platforms]\n{name} = hearth_{name}.platform:{name.upper()}\n"
        self.add_file(f"hearth_{name}-0.1.dist-info/METADATA", metadata)
        self.add_file(f"hearth_{name}-0.1.dist-info/entry_points.txt", entry_points)

    def add_file(self, name: str, content: str) -> None:
        path = self.packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def configure(self, sections: str, language: str = "en") -> None:
        text = CONFIG.format(sections=sections, language=language)
        (self.folder / "config.yaml").write_text(text, encoding="utf-8")

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        environment = {key: value for key, value in os.environ.items() if key != "HEARTH_CONFIG"}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", *arguments),
            cwd=self.folder,
            env={**environment, "PYTHONPATH": f"{ROOT}{os.pathsep}{self.packages}", "TERM": "dumb"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str) -> Ran:
        process = await self.start(*arguments)
        async with asyncio.timeout(WITHIN_S):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection to the platform in `hearth run`."""
        process = await self.start("run")
        assert process.stderr is not None
        try:
            async with asyncio.timeout(WITHIN_S):
                while not (found := re.search(rb"Tin listens on port (\d+)", line := await process.stderr.readline())):
                    assert line, "hearth run has ended"
                reader, writer = await asyncio.open_connection("127.0.0.1", int(found[1]))
                yield reader, writer
                writer.close()
                process.send_signal(signal.SIGTERM)
                _, err = await process.communicate()
            assert process.returncode == 0
            assert b"Traceback" not in err
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


async def test_a_wrong_key_of_its_section_is_told_with_the_nearest_one(installation: Installation) -> None:
    installation.configure("tin:\n  enabled: true\n  prot: 1\n  socket: 1\n  port: 70000\n")
    ran = await installation.run("config", "check")
    assert ran.code == 2
    assert [line.partition(":")[2] for line in ran.err.splitlines()] == [
        "9: tin.prot: is not a key that Hearth knows; did you mean `port`?",
        "10: tin.socket: is now called `tin.port`.",
        "11: tin.port: must be at most 65535, not 70000.",
    ]


async def test_the_doctor_shows_its_check_when_it_is_switched_on(installation: Installation) -> None:
    installation.configure("tin: {enabled: true, port: 4711}")
    assert "✓ tin: Tin uses port 4711.\n" in (await installation.run("doctor", "--offline")).out
    installation.configure("tin: {port: 4711}")
    assert "✓ tin: Tin is switched off.\n" in (await installation.run("doctor", "--offline")).out


async def test_its_commands_are_there_with_their_options_and_exit_codes(installation: Installation) -> None:
    installation.configure("tin: {port: 4711}")
    assert re.search(r"(?m)^  tin +Show how Tin is set up\.$", (await installation.run("--help")).out)
    described = (await installation.run("tin", "port", "--help")).out
    assert "--json" in described
    assert "--config" in described
    assert await installation.run("tin", "port") == Ran(0, "Port 4711\n", "")
    assert await installation.run("tin", "port", "--json") == Ran(0, '{"port": 4711}\n', "")
    installation.configure("")
    assert await installation.run("tin", "port") == Ran(1, "Port 0\n", "")
    installation.configure("tin: {prot: 1}")
    assert (await installation.run("tin", "port")).code == 2


@pytest.mark.parametrize("language", ["en", "fr"])
async def test_a_question_travels_through_it_and_is_answered(installation: Installation, language: str) -> None:
    installation.configure("tin: {enabled: true}", language)
    texts = yaml.safe_load((installation.packages / f"hearth_tin/{language}.yaml").read_text(encoding="utf-8"))
    async with installation.connected() as (reader, writer):
        assert (await reader.readline()).decode() == texts["tin_greeting"].format(name="Hearth") + "\n"
        writer.write(b"Where does the backup drive live?\n")
        assert b"Where does the backup drive live?" in await reader.readline()


@pytest.fixture
def broken(installation: Installation) -> Installation:
    """The same with a second package, whose client library is not installed."""
    installation.add_file("hearth_drum/__init__.py", "")
    installation.add_file("hearth_drum/platform.py", "import library_that_is_not_there\n")
    installation.register("drum")
    return installation


async def test_a_package_that_cannot_be_imported_is_a_warning_while_it_is_switched_off(broken: Installation) -> None:
    broken.configure("drum: {anything: 1}")
    ran = await broken.run("doctor", "--offline")
    assert ran.code == 0
    assert "! drum: The platform drum cannot be used: " in ran.out
    assert "No module named 'library_that_is_not_there'" in ran.out
    assert (await broken.run("config", "check")).code == 0


async def test_a_package_that_cannot_be_imported_is_an_error_once_it_is_switched_on(broken: Installation) -> None:
    broken.configure("drum: {anything: 1, enabled: true}")
    ran = await broken.run("run")
    assert ran.code == 2
    assert ran.err.startswith("config.yaml:7: drum: The platform drum cannot be used: hearth_drum.platform:DRUM cannot")
    assert len(ran.err.splitlines()) == 1


async def test_a_client_library_that_is_missing_is_an_error_only_when_it_is_needed(installation: Installation) -> None:
    adapter = installation.packages / "hearth_tin/adapter.py"
    adapter.write_text(f"import library_that_is_not_there\n{adapter.read_text(encoding='utf-8')}", encoding="utf-8")
    installation.configure("tin: {enabled: true}")
    ran = await installation.run("run")
    assert ran.code == 1
    assert "The platform Tin cannot be used: " in ran.err
    assert "Traceback" not in ran.err


def test_the_page_shows_the_description_as_it_is() -> None:
    assert (PACKAGE / "platform.py").read_text(encoding="utf-8") in PAGE.read_text(encoding="utf-8")
