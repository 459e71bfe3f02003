"""Routes with which the bot answers an interaction: the callback, the original response, follow-ups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.fakes.discord_server import refusals
from tests.fakes.discord_server.http import Call, Routes
from tests.fakes.discord_server.interactions import Interaction
from tests.fakes.discord_server.message import EPHEMERAL, LOADING, Message, pings
from tests.fakes.discord_server.routes_messages import compose, revise
from tests.fakes.discord_server.world import World

MESSAGE, THINKING, DEFERRED_UPDATE, UPDATE, CHOICES, FORM = 4, 5, 6, 7, 8, 9
WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"
ORIGINAL = WEBHOOK + "/messages/@original"
FOLLOWED = WEBHOOK + "/messages/{message_id}"
interactions = Routes()


@interactions.on("POST", "/interactions/{interaction_id}/{interaction_token}/callback")
def callback(world: World, call: Call) -> Any:
    begun = world.interactions.get(call.ids["interaction_token"])
    if begun is None or begun.id != call.id("interaction_id") or (begun.too_late and begun.response is None):
        raise refusals.unknown_interaction()
    if begun.response is not None:
        raise refusals.already_acknowledged()
    kind, data = call.json["type"], call.json.get("data") or {}
    inner = Call(call.ids, call.query, data, call.files)
    _respond(world, begun, kind, inner)
    begun.response, begun.response_type = call.json, kind
    begun.answered_after_s = world.clock.now() - begun.started
    return begun.response_payload() if call.query.get("with_response") in ("1", "true") else None


def _respond(world: World, begun: Interaction, kind: int, call: Call) -> None:
    if kind == MESSAGE:
        begun.original = _say(world, begun, call)
    elif kind == THINKING:
        now = world.clock.now()
        waiting = Message(world.ids.take(now), begun.channel, world.bot, "", now)
        waiting.flags = int(call.json.get("flags") or 0) & EPHEMERAL | LOADING
        begun.original, begun.loading = _shown(begun, waiting), True
    elif kind == UPDATE and begun.message is not None:
        begun.original = begun.message
        _revise(world, begun, begun.message, call)
    elif kind == DEFERRED_UPDATE:
        begun.original = begun.message


@interactions.on("GET", ORIGINAL)
def original(world: World, call: Call) -> Any:
    return _original(_live(world, call)).payload()


@interactions.on("PATCH", ORIGINAL)
def edit_original(world: World, call: Call) -> Any:
    begun = _live(world, call)
    return _revise(world, begun, _original(begun), call)


@interactions.on("DELETE", ORIGINAL)
def delete_original(world: World, call: Call) -> None:
    begun = _live(world, call)
    _remove(begun, _original(begun))


@interactions.on("POST", WEBHOOK)
def follow_up(world: World, call: Call) -> Any:
    begun = _live(world, call)
    if begun.response is None:
        raise refusals.unknown_webhook()
    if begun.loading and begun.original is not None:
        # The first follow-up takes the place of "is thinking...", and is as private as that was.
        return _revise(world, begun, begun.original, call)
    return _say(world, begun, call).payload()


@interactions.on("GET", FOLLOWED)
def followed(world: World, call: Call) -> Any:
    return _followed(world, call)[1].payload()


@interactions.on("PATCH", FOLLOWED)
def edit_followed(world: World, call: Call) -> Any:
    return _revise(world, *_followed(world, call), call)


@interactions.on("DELETE", FOLLOWED)
def delete_followed(world: World, call: Call) -> None:
    _remove(*_followed(world, call))


def _live(world: World, call: Call) -> Interaction:
    begun = world.interactions.get(call.ids["webhook_token"])
    if begun is None or call.id("webhook_id") != world.bot.id:
        raise refusals.unknown_webhook()
    if begun.expired:
        raise refusals.expired_token()
    return begun


def _original(begun: Interaction) -> Message:
    if begun.original is None or begun.original.deleted:
        raise refusals.unknown_message()
    return begun.original


def _followed(world: World, call: Call) -> tuple[Interaction, Message]:
    begun = _live(world, call)
    found = begun.find(call.id("message_id"))
    if found is None:
        raise refusals.unknown_message()
    return begun, found


def _say(world: World, begun: Interaction, call: Call) -> Message:
    message = compose(world, begun.channel, call)
    message.pings = pings(message.content, call.json.get("allowed_mentions"), None)
    return _shown(begun, message)


def _shown(begun: Interaction, message: Message) -> Message:
    message.kind, message.interaction = begun.message_kind, begun.metadata()
    begun.say(message)
    return message


def _revise(world: World, begun: Interaction, message: Message, call: Call) -> Mapping[str, Any]:
    revise(world, message, call)
    begun.loading, message.flags = False, message.flags & ~LOADING
    if not message.ephemeral:
        begun.channel.changed(message)
    return message.payload()


def _remove(begun: Interaction, message: Message) -> None:
    message.deleted = True
    if not message.ephemeral:
        begun.channel.forgotten(message)
