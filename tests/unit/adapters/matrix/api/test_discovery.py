from collections.abc import Mapping
from typing import Any

import pytest

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.api.discovery import FetchJson, HomeserverAddress, discover_homeserver, is_unencrypted
from adapters.matrix.homeserver import MatrixUnusable, RequestRefused

VERSIONS = {"versions": ["v1.11"]}
LOST = TransientFailure("the homeserver could not be reached: nothing listens there")
AWAY = {"https://example.org/.well-known/matrix/client": RequestRefused(404, "", {})}


def net(table: Mapping[str, Any]) -> FetchJson:
    """A network of these addresses; at no other is anybody."""

    async def ask(homeserver: str, path: str) -> dict[str, Any]:
        answer = table.get(homeserver + path, LOST)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    return ask


def serving(address: str, **table: Any) -> dict[str, Any]:
    return {f"{address}/_matrix/client/versions": VERSIONS, **AWAY, **table}


def named(address: Any) -> dict[str, Any]:
    """What `example.org` says of its homeserver."""
    return {"https://example.org/.well-known/matrix/client": {"m.homeserver": {"base_url": address}}}


@pytest.mark.parametrize(
    ("given", "table", "place"),
    [
        ("https://m.example.org/", serving("https://m.example.org"), HomeserverAddress("https://m.example.org")),
        (
            "https://example.org/matrix",
            serving("https://example.org/matrix"),
            HomeserverAddress("https://example.org/matrix"),
        ),
        ("http://127.0.0.1:8008", serving("http://127.0.0.1:8008"), HomeserverAddress("http://127.0.0.1:8008")),
        ("example.org", serving("https://example.org"), HomeserverAddress("https://example.org")),
        (" example.org:8448 ", serving("https://example.org:8448"), HomeserverAddress("https://example.org:8448")),
        (
            "https://example.org",
            serving("https://m.example.org") | named("https://m.example.org/"),
            HomeserverAddress("https://m.example.org"),
        ),
        (
            "@hearth:example.org",
            serving("https://m.example.org") | named("https://m.example.org/"),
            HomeserverAddress("https://m.example.org", "@hearth:example.org"),
        ),
    ],
)
async def test_a_homeserver_is_found_by_address_server_or_account(
    given: str, table: dict[str, Any], place: HomeserverAddress
) -> None:
    assert await discover_homeserver(given, net(table)) == place


@pytest.mark.parametrize("given", ["", "what is this", "@hearth", "hearth@example.org", "@:x y", "https://", "@a:b/c"])
async def test_what_names_no_homeserver_is_told(given: str) -> None:
    with pytest.raises(MatrixUnusable, match="homeserver"):
        await discover_homeserver(given, net({}))


@pytest.mark.parametrize("told", [{}, {"m.homeserver": []}, {"m.homeserver": {"base_url": 7}}])
async def test_a_server_that_says_nothing_of_its_homeserver_is_told(told: dict[str, Any]) -> None:
    table = {"https://example.org/.well-known/matrix/client": told}
    with pytest.raises(MatrixUnusable, match=r"names no homeserver\. Give its address"):
        await discover_homeserver("example.org", net(table))


@pytest.mark.parametrize("address", ["ftp://example.org", "example.org", "https://", "http://[", "https://x:y"])
async def test_a_server_that_names_no_address_is_told(address: str) -> None:
    with pytest.raises(MatrixUnusable, match="is not the address of a homeserver"):
        await discover_homeserver("example.org", net(named(address)))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (LOST, "There is no Matrix homeserver at https://m.example.org"),
        (LOST, "one without TLS begins with http://"),
        (RequestRefused(404, "", {}), "There is no Matrix homeserver"),
        (RateLimited(30.0), "asks to wait 30"),
        ({"hello": "world"}, "something else answers there"),
    ],
)
async def test_something_else_than_a_homeserver_is_told(answer: Any, sentence: str) -> None:
    table = {"https://m.example.org/_matrix/client/versions": answer}
    with pytest.raises(MatrixUnusable, match=sentence):
        await discover_homeserver("https://m.example.org", net(table))


@pytest.mark.parametrize(
    ("address", "plain"),
    [("https://example.org", False), ("http://127.0.0.1:8008", False), ("http://192.168.1.4:8008", True)],
)
def test_an_address_that_is_not_encrypted_is_known_unless_it_is_this_machine(address: str, plain: bool) -> None:
    assert is_unencrypted(address) is plain
