"""The two servers as processes of their own, of which one at a time may run."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yaml

from deploy.build import llama_server
from models.llama.native.context import thread_count
from models.llama.plan.hardware import GpuMemory
from models.llama.plan.memory_plan import plan_memory, read_model_header
from tests.benchmarks import houses
from tests.benchmarks.engine.asking import bench_settings
from tests.benchmarks.engine.beside.client import KEY, Client, Message, StreamedAnswer, client_session
from tests.benchmarks.machine import ROOT

KEY_VARIABLE = "HEARTH_BENCH_KEY"
REPLIES = 4
READY_WITHIN_S, GONE_WITHIN_S = 60, 30
SETTINGS = bench_settings()


@dataclass(eq=False)
class Server:
    """One of the two: how it is started, and the process while it is."""

    name: str
    command: Sequence[str | Path]
    variables: Mapping[str, str]
    url: str
    health: str
    log: Path
    client: Client
    process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError when it does not."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=ROOT, env=self.variables, stdout=log, stderr=log)
        async with asyncio.timeout(READY_WITHIN_S), aiohttp.ClientSession() as session:
            while not await self._is_ready(session):
                if self.process.poll() is not None:
                    raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text()}")
                await asyncio.sleep(0.05)

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}{self.health}") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False

    async def stop(self) -> None:
        """Ask it to end, and wait; what does not is killed."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            await asyncio.to_thread(self.process.wait, GONE_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    @contextmanager
    def still(self) -> Iterator[None]:
        """Stopped meanwhile: it can neither spin nor write files while the other one is measured."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@dataclass
class ServerPair:
    """The two servers at rest, ours first; each is woken for its turn."""

    ours: Server
    theirs: Server

    def in_turn(self, number: int) -> tuple[Server, Server]:
        """Both, who goes first changing with the number."""
        return (self.ours, self.theirs) if number % 2 else (self.theirs, self.ours)

    async def restart(self) -> None:
        """End both and start them again."""
        for server in (self.ours, self.theirs):
            await server.stop()
            await server.start()

    async def ask(self, number: int, messages: Sequence[Message], tokens: int) -> dict[Server, StreamedAnswer]:
        """The same question to both in turn. Raises ValueError when they read other tokens."""
        heard = {}
        for server in self.in_turn(number):
            with self.only(server) as client:
                heard[server] = await client.ask(messages, tokens)
        counts = {server.name: each.prompt_tokens for server, each in heard.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"the prompts differ in tokens: {counts}")
        return heard

    @contextmanager
    def only(self, server: Server) -> Iterator[Client]:
        """The client of one server while the other one stands still."""
        with (self.theirs if server is self.ours else self.ours).still():
            yield server.client


@asynccontextmanager
async def both(folder: Path, model: Path | None = None) -> AsyncIterator[ServerPair]:
    """Both servers on a model, the default one unless given, with the same threads, replies and context, started."""
    model = model or await houses.chat_model()
    context = plan_memory(read_model_header(model), SETTINGS, GpuMemory()).context_tokens
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(client_session())
        pair = ServerPair(_ours(folder, model, session), _theirs(folder, model, context, session))
        for server in (pair.ours, pair.theirs):
            stack.push_async_callback(server.stop)
            await server.start()
        yield pair


def write_hearth_config(folder: Path, model: Path, port: int) -> Path:
    """Write the config of our server; its path."""
    settings = {
        "data_folder": str(folder / "data"),
        "log_level": "warning",
        "http": {
            "port": port,
            # States of programs survive a restart where the admin wants them to: this is measured, too.
            "openai": {
                "enabled": True,
                "keys": {"bench": KEY_VARIABLE},
                "open_requests_per_key": 64,
                "kv_cache_on_disk": True,
            },
        },
        "weights": {"chat": {"source": "path", "path": str(model)}},
        # llama.cpp's server applies no penalty unless asked.
        "model": {
            "sampling": {"repeat_penalty": 1.0},
            "llama": {"deterministic": bench_settings().deterministic},
        },
        "knowledge": {"embedding": {"kind": "hashing"}},
    }
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return config


def _ours(folder: Path, model: Path, session: aiohttp.ClientSession) -> Server:
    port = _free_port()
    config = write_hearth_config(folder, model, port)
    url = f"http://127.0.0.1:{port}"
    return Server(
        "hearth",
        [sys.executable, "-m", "bot", "run", "--config", config],
        {**os.environ, KEY_VARIABLE: KEY},
        url,
        "/readyz",
        folder / "hearth.log",
        Client(url, model.stem, session),
    )


def _theirs(folder: Path, model: Path, context: int, session: aiohttp.ClientSession) -> Server:
    port = _free_port()
    program = llama_server.server_program(os.environ)
    cores = thread_count(SETTINGS)
    url = f"http://127.0.0.1:{port}"
    options = {"-m": model, "-np": REPLIES, "-c": REPLIES * context, "-t": cores, "-tb": cores}
    where = {"--host": "127.0.0.1", "--port": port}
    return Server(
        "llama-server",
        [program, *(str(word) for option in (options | where).items() for word in option)],
        llama_server.server_environment(os.environ),
        url,
        "/health",
        folder / "llama-server.log",
        Client(url, model.stem, session),
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
