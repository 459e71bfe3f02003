"""Routes about the bot itself, people, guilds, channels and threads."""

from __future__ import annotations

from typing import Any

from tests.fakes.discord_server import refusals
from tests.fakes.discord_server.channel import Channel
from tests.fakes.discord_server.guild import Guild
from tests.fakes.discord_server.http import Call, Routes
from tests.fakes.discord_server.people import User
from tests.fakes.discord_server.routes_messages import readable
from tests.fakes.discord_server.world import World

places = Routes()


@places.on("GET", "/users/@me")
def me(world: World, call: Call) -> Any:
    return {**world.bot.payload(), "mfa_enabled": True, "verified": True, "email": None, "flags": 0, "locale": "en-US"}


@places.on("GET", "/oauth2/applications/@me")
def application(world: World, call: Call) -> Any:
    return {
        "id": str(world.bot.id),
        "name": world.bot.name,
        "description": "",
        "icon": None,
        "bot_public": True,
        "bot_require_code_grant": False,
        "owner": world.person("The developer").payload(),
        "verify_key": "0" * 64,
        "flags": world.application_flags(),
        "team": None,
    }


@places.on("GET", "/gateway/bot")
def gateway_of_bot(world: World, call: Call) -> Any:
    left = {"total": 1000, "remaining": world.settings.sessions_left, "reset_after": 0, "max_concurrency": 1}
    return {"url": world.gateway_url, "shards": world.settings.shards, "session_start_limit": left}


@places.on("GET", "/gateway")
def gateway(world: World, call: Call) -> Any:
    return {"url": world.gateway_url}


@places.on("GET", "/users/{user_id}")
def user(world: World, call: Call) -> Any:
    return _person(world, call.id("user_id")).payload()


@places.on("POST", "/users/@me/channels")
def open_direct(world: World, call: Call) -> Any:
    return world.direct(_person(world, int(call.json["recipient_id"]))).payload()


@places.on("GET", "/users/@me/guilds")
def guilds(world: World, call: Call) -> Any:
    mine = str(world.bot.id)
    return [
        {"id": str(one.id), "name": one.name, "icon": None, "owner": False, "permissions": mine, "features": []}
        for one in world.guilds.values()
    ]


@places.on("GET", "/guilds/{guild_id}")
def guild(world: World, call: Call) -> Any:
    return _guild(world, call).summary()


@places.on("GET", "/guilds/{guild_id}/channels")
def channels(world: World, call: Call) -> Any:
    return [one.payload() for one in _guild(world, call).channels.values()]


@places.on("GET", "/guilds/{guild_id}/roles")
def roles(world: World, call: Call) -> Any:
    return [one.payload() for one in _guild(world, call).roles.values()]


@places.on("GET", "/guilds/{guild_id}/members/{user_id}")
def member(world: World, call: Call) -> Any:
    found = _guild(world, call).members.get(call.id("user_id"))
    if found is None:
        raise refusals.unknown_member()
    return found.full_payload()


@places.on("GET", "/guilds/{guild_id}/threads/active")
def active_threads(world: World, call: Call) -> Any:
    open_ = [one.payload() for one in _guild(world, call).threads if not one.archived]
    return {"threads": open_, "members": []}


@places.on("GET", "/channels/{channel_id}")
def channel(world: World, call: Call) -> Any:
    return readable(world, call).payload()


@places.on("PATCH", "/channels/{channel_id}")
def change_thread(world: World, call: Call) -> Any:
    place = readable(world, call)
    if not (place.bot_may().manage_channels or (place.parent and place.owner is world.bot)):
        raise refusals.missing_permissions()
    place.name = call.json.get("name", place.name)
    place.archived = bool(call.json.get("archived", place.archived))
    place.locked = bool(call.json.get("locked", place.locked))
    world.emit("THREAD_UPDATE" if place.parent else "CHANNEL_UPDATE", place.payload(), guild=place.guild)
    return place.payload()


@places.on("POST", "/channels/{channel_id}/messages/{message_id}/threads")
def thread_of_message(world: World, call: Call) -> Any:
    place = _for_threads(world, call)
    message = place.find(call.id("message_id"))
    if message is None:
        raise refusals.unknown_message()
    if message.thread is not None:
        raise refusals.thread_exists()
    return place.thread(call.json["name"], of=message, owner=world.bot).payload()


@places.on("POST", "/channels/{channel_id}/threads")
def thread(world: World, call: Call) -> Any:
    return _for_threads(world, call).thread(call.json["name"], owner=world.bot).payload()


@places.on("PUT", "/channels/{channel_id}/thread-members/@me")
def join_thread(world: World, call: Call) -> None:
    readable(world, call)


def _for_threads(world: World, call: Call) -> Channel:
    place = readable(world, call)
    if not place.bot_may().create_public_threads:
        raise refusals.missing_permissions()
    return place


def _guild(world: World, call: Call) -> Guild:
    found = world.guilds.get(call.id("guild_id"))
    if found is None:
        raise refusals.unknown_guild()
    return found


def _person(world: World, id_: int) -> User:
    found = world.people.get(id_)
    if found is None:
        raise refusals.unknown_user()
    return found
