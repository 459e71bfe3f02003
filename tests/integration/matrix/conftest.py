"""Two homeservers for all tests of a run, each started when the first test asks for it, and people in them."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.build import test_services
from deploy.build.progress import SetupFailed
from deploy.dev.element import Peer
from deploy.dev.homeserver import Person, SynapseServer
from tests.fakes.matrix_resident import MatrixInstance
from tests.homeserver import Capture
from tests.integration.matrix.home import Home, opened

Enter = Callable[..., Awaitable[Person]]
EnterEncrypted = Callable[..., Awaitable[Peer]]


def _served(lifted: bool) -> Iterator[SynapseServer]:
    server = SynapseServer(lifted)
    try:
        server.start_now()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def _lifted_server() -> Iterator[SynapseServer]:
    yield from _served(lifted=True)


@pytest.fixture(scope="session")
def _limited_server() -> Iterator[SynapseServer]:
    yield from _served(lifted=False)


def _ready(server: SynapseServer, request: pytest.FixtureRequest) -> Iterator[SynapseServer]:
    """The server, running again if a test left it stopped; what it logged stands with a test that failed."""
    server.start_now()
    yield server
    request.node.add_report_section("teardown", "homeserver", server.log)


@pytest.fixture
def homeserver(_lifted_server: SynapseServer, request: pytest.FixtureRequest) -> Iterator[SynapseServer]:
    """A Synapse without limits."""
    yield from _ready(_lifted_server, request)


@pytest.fixture
def limited_homeserver(_limited_server: SynapseServer, request: pytest.FixtureRequest) -> Iterator[SynapseServer]:
    """A Synapse with its default limit for messages: 0.2 a second after 10 at once."""
    yield from _ready(_limited_server, request)


@pytest.fixture
async def enter() -> AsyncIterator[Enter]:
    """`await enter(server, "ana")`: somebody new with a running client, closed at the end of the test."""
    people: list[Person] = []

    async def come(server: SynapseServer, name: str, url: str = "") -> Person:
        people.append(await server.person(name, url))
        return people[-1]

    yield come
    for person in people:
        await person.close()


@pytest.fixture(scope="session")
def _client_library() -> None:
    try:
        test_services.client_library(os.environ)
    except SetupFailed as failure:
        pytest.skip(f"Element's library is not here: {failure}")


@pytest.fixture
async def enter_encrypted(_client_library: None) -> AsyncIterator[EnterEncrypted]:
    """`await enter_encrypted(server, "ana")`: somebody new whose client encrypts; closed at the end of the test."""
    people: list[Peer] = []

    async def come(server: SynapseServer, name: str, url: str = "", **how: bool) -> Peer:
        people.append(await Peer.enter(url or server.url, await server.register(name), **how))
        return people[-1]

    yield come
    for person in people:
        await person.close()


@pytest.fixture
async def capture(homeserver: SynapseServer) -> AsyncIterator[Capture]:
    """A proxy in front of the homeserver without limits."""
    async with Capture.before(homeserver.url) as proxy:
        yield proxy


@pytest.fixture
async def resident(homeserver: SynapseServer, tmp_path: Path) -> AsyncIterator[MatrixInstance]:
    """Hearth with an account on the homeserver without limits, not started; stopped at the end of the test."""
    resident = await MatrixInstance.registered_at(homeserver, tmp_path)
    yield resident
    await resident.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(
    _lifted_server: SynapseServer, _client_library: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Home]:
    """Hearth at work in a home with two people, for all tests of a module, which run in its loop."""
    _lifted_server.start_now()
    async with opened(_lifted_server, tmp_path_factory.mktemp("home")) as home:
        yield home
