"""The checks of requests to Discord: what its document and its prose allow."""

import json
from collections.abc import AsyncIterator
from typing import Any

import discord
import pytest

from tests.discord_openapi import DOCUMENT, checked_requests, document_rules, path_template, written_rules
from tests.fakes.discord_server import DiscordServer, Listener, running
from tests.prune_discord_openapi import ROUTES, pruned, text_of

MESSAGES = "/channels/{channel_id}/messages"
CALLBACK = "/interactions/{interaction_id}/{interaction_token}/callback"
BUTTON = {"type": 2, "style": 2, "label": "Stop", "custom_id": "stop:1"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", MESSAGES, {"content": "hello", "nonce": "n1", "enforce_nonce": True, "tts": False}),
        ("POST", MESSAGES, {"content": "a reply", "message_reference": {"message_id": 12, "channel_id": "3"}}),
        ("POST", MESSAGES, {"allowed_mentions": {"parse": [], "replied_user": False}, "flags": 4}),
        ("POST", MESSAGES, {"content": "x", "components": [{"type": 1, "components": [BUTTON]}]}),
        ("POST", CALLBACK, {"type": 5, "data": {"flags": 64}}),
        ("POST", CALLBACK, {"type": 7, "data": {"content": "stopped", "components": []}}),
        ("DELETE", MESSAGES + "/{message_id}", None),
    ],
)
def test_a_right_request_has_no_faults(method: str, path: str, body: Any) -> None:
    assert document_rules(method, path, {}, body) == []


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "fault"),
    [
        ("POST", MESSAGES, {}, {"contents": "hello"}, "'contents' was unexpected"),
        ("POST", MESSAGES, {}, None, "there is no body"),
        ("POST", MESSAGES, {}, {"content": 5}, "$.content: 5 is not of type 'string', 'null'"),
        ("POST", MESSAGES, {}, {"embeds": [{"titel": "x"}]}, "$.embeds[0]: Additional properties"),
        ("POST", MESSAGES, {}, {"nonce": "n" * 26}, "is too long"),
        ("POST", CALLBACK, {}, {"type": 7, "data": {"contant": "x"}}, "'contant' was unexpected"),
        ("POST", CALLBACK, {}, {"data": {"content": "x"}}, "'type' is a required property"),
        (
            "POST",
            MESSAGES,
            {},
            {"components": [{"type": 1, "components": [{**BUTTON, "custom_id": "x" * 101}]}]},
            "$.components[0].components[0].custom_id",
        ),
        ("GET", MESSAGES, {"limt": "5"}, None, "unknown query key 'limt'"),
        ("POST", "/channels/{channel_id}/typing", {}, {"x": 1}, "takes no JSON"),
        ("POST", "/channels/{channel_id}/massages", {}, {}, "Discord has no POST"),
    ],
)
def test_a_wrong_request_is_told_where_it_is_wrong(
    method: str, path: str, query: dict[str, str], body: Any, fault: str
) -> None:
    found = document_rules(method, path, query, body)
    assert len(found) == 1
    assert fault in found[0]


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("POST", "/channels/12/messages", MESSAGES),
        ("PATCH", "/webhooks/1/tok/messages/@original", "/webhooks/{webhook_id}/{webhook_token}/messages/@original"),
        ("PATCH", "/webhooks/1/tok/messages/7", "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"),
        ("GET", "/users/@me", "/users/@me"),
        ("GET", "/users/5", "/users/{user_id}"),
        ("GET", "/nowhere", "/nowhere"),
    ],
)
def test_a_path_finds_its_template(method: str, path: str, template: str) -> None:
    assert path_template(method, path) == template


def test_the_document_has_all_routes_of_the_fake_server_and_nothing_else() -> None:
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    methods = {"get", "put", "post", "patch", "delete"}
    operations = {(key.upper(), path) for path, told in document["paths"].items() for key in told if key in methods}
    assert operations == ROUTES


def test_the_document_is_whole_and_as_it_would_be_pruned_again() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text_of(pruned(json.loads(text))) == text


def test_the_licence_of_the_document_stands_beside_it() -> None:
    assert "MIT License" in DOCUMENT.with_suffix(".md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"content": "x" * 2001}, "content has 2001 characters"),
        ({"type": 4, "data": {"content": "x" * 2001}}, "content has 2001 characters"),
        ({"nonce": "n" * 26}, "nonce has 26 characters"),
        ({"embeds": [{"description": "x" * 4097}]}, "an embed's description"),
        ({"embeds": [{"description": "x" * 3001}, {"fields": [{"name": "a", "value": "y" * 2999}]}]}, "together"),
    ],
)
def test_what_only_the_prose_limits_is_found(body: Any, fault: str) -> None:
    (found,) = written_rules(body)
    assert fault in found


@pytest.mark.parametrize("body", [None, [], {"content": "x" * 2000, "nonce": 7}, {"embeds": [{"description": "x"}]}])
def test_what_keeps_the_prose_limits_has_no_faults(body: Any) -> None:
    assert written_rules(body) == []


@pytest.fixture
async def client(server: DiscordServer) -> AsyncIterator[Listener]:
    server.guild("Home").channel("general")
    async with running(server, Listener()) as made:
        yield made


async def test_the_requests_of_any_client_class_can_be_watched(server: DiscordServer, client: Listener) -> None:
    channel = server.guild("Home").channel("general")
    before = discord.http.HTTPClient.request
    with checked_requests(discord.http.HTTPClient) as faults:
        await client.get_channel(channel.id).send("fine", file=discord.File(__file__, "a.txt"))
        assert faults == []
        with pytest.raises(discord.HTTPException):
            await client.get_channel(channel.id).send("x" * 2001)
        assert faults == ["POST /channels/{channel_id}/messages: content has 2001 characters, over 2000"]
        faults.clear()
    assert discord.http.HTTPClient.request is before
    assert len(server.requests.take_faults()) == 1


async def test_watched_requests_with_faults_fail_the_test(server: DiscordServer, client: Listener) -> None:
    place = client.get_channel(server.guild("Home").channel("general").id)
    with (
        pytest.raises(AssertionError, match="content has 2001"),
        checked_requests(discord.http.HTTPClient),
        pytest.raises(discord.HTTPException),
    ):
        await place.send("x" * 2001)
    server.requests.take_faults()
