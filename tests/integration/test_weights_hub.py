import asyncio
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from models.weights import FetchProgress, WeightsUnavailable, cached_path, fetch_weights
from models.weights_sources import HubSource

_CONTENT = os.urandom(40_000_000)
_SHA256 = hashlib.sha256(_CONTENT).hexdigest()
_COMMIT = "a" * 40


@dataclass
class _Hub:
    """A hub with one file, which speaks the few headers the real one does."""

    content: bytes = _CONTENT
    stated_sha256: str = _SHA256
    pause_after_bytes: int | None = None
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    refuse: dict[str, str] | None = None
    ranges: list[str | None] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("Authorization"))
        if self.refuse is not None:
            return web.Response(status=404 if "Entry" in self.refuse["X-Error-Code"] else 401, headers=self.refuse)
        headers = {"X-Repo-Commit": _COMMIT, "ETag": f'"{self.stated_sha256}"', "Accept-Ranges": "bytes"}
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(len(self.content))})
        self.ranges.append(request.headers.get("Range"))
        start = request.http_range.start or 0
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        response.content_length = len(self.content) - start
        await response.prepare(request)
        await self._send(response, start)
        return response

    async def _send(self, response: web.StreamResponse, start: int) -> None:
        stop = self.pause_after_bytes
        await response.write(self.content[start:stop])
        if stop is not None:
            await self.go_on.wait()


@pytest.fixture
async def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[_Hub]:
    hub = _Hub()
    app = web.Application()
    for file in ("model.gguf", "Q4/{part}"):
        app.router.add_route("*", f"/owner/name/resolve/{{revision}}/{file}", hub.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{runner.addresses[0][1]}")
    monkeypatch.setenv("HF_TOKEN", "a-token")
    yield hub
    await runner.cleanup()


_SOURCE = HubSource(repository="owner/name", file="model.gguf")


def _ignore(progress: FetchProgress) -> None:
    pass


async def test_a_file_of_the_hub_is_fetched_with_progress_and_then_never_asked_for_again(
    hub: _Hub, tmp_path: Path
) -> None:
    told: list[FetchProgress] = []
    path = await fetch_weights(_SOURCE, tmp_path, told.append)
    assert path.read_bytes() == _CONTENT
    assert FetchProgress("model.gguf", "downloading", len(_CONTENT), len(_CONTENT)) in told
    assert set(hub.tokens) == {"Bearer a-token"}
    asked = len(hub.tokens)
    assert await fetch_weights(_SOURCE, tmp_path, _ignore) == path
    assert len(hub.tokens) == asked


async def test_an_interrupted_download_goes_on_where_it_stopped(hub: _Hub, tmp_path: Path) -> None:
    hub.pause_after_bytes = 25_000_000
    arrived = asyncio.Event()

    def tell(progress: FetchProgress) -> None:
        if progress.done_bytes >= 10_000_000:
            arrived.set()

    running = asyncio.create_task(fetch_weights(_SOURCE, tmp_path, tell))
    await asyncio.wait_for(arrived.wait(), 60)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    hub.pause_after_bytes = None
    hub.go_on.set()
    path = await fetch_weights(_SOURCE, tmp_path, _ignore)
    assert path.read_bytes() == _CONTENT
    assert hub.ranges[0] is None
    assert str(hub.ranges[-1]).startswith("bytes=1") or str(hub.ranges[-1]).startswith("bytes=2")


async def test_a_file_that_is_not_what_the_hub_states_is_removed(hub: _Hub, tmp_path: Path) -> None:
    hub.content = _CONTENT[:-1] + bytes([_CONTENT[-1] ^ 1])
    with pytest.raises(WeightsUnavailable, match=_SHA256):
        await fetch_weights(_SOURCE, tmp_path, _ignore)
    assert [path for path in tmp_path.rglob("model.gguf*") if path.suffix != ".lock"] == []


async def test_a_configured_sha256_counts_more_than_the_hubs(hub: _Hub, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="1" * 64):
        await fetch_weights(_SOURCE.model_copy(update={"sha256": "1" * 64}), tmp_path, _ignore)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("GatedRepo", "accept its terms"),
        ("RepoNotFound", "no repository owner/name"),
        ("EntryNotFound", "check the file and the revision"),
    ],
)
async def test_a_refusal_of_the_hub_becomes_a_sentence(hub: _Hub, tmp_path: Path, code: str, sentence: str) -> None:
    hub.refuse = {"X-Error-Code": code}
    with pytest.raises(WeightsUnavailable, match=sentence):
        await fetch_weights(_SOURCE, tmp_path, _ignore)


async def test_a_hub_that_cannot_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(WeightsUnavailable, match="could not be reached"):
            await fetch_weights(_SOURCE, tmp_path, _ignore)


def test_offline_mode_is_honoured(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from models.weights_sources import HubSource\n"
        "from models.weights import fetch_weights\n"
        "source = HubSource(repository='owner/name', file='model.gguf')\n"
        "asyncio.run(fetch_weights(source, pathlib.Path(sys.argv[1]), print))\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "HF_HUB_OFFLINE forbids" in ended.stderr


async def test_all_parts_of_a_split_model_are_fetched(hub: _Hub, tmp_path: Path) -> None:
    source = HubSource(repository="owner/name", file="Q4/m-00001-of-00003.gguf")
    told: list[FetchProgress] = []
    path = await fetch_weights(source, tmp_path, told.append)
    assert path.name == "m-00001-of-00003.gguf"
    names = [f"m-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    assert [path.with_name(name).read_bytes() == _CONTENT for name in names] == [True, True, True]
    assert {progress.file for progress in told} >= set(names)
    path.with_name(names[1]).unlink()
    assert cached_path(source, tmp_path) is None
