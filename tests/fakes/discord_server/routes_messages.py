"""Routes about messages: history, send, edit, delete, typing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.fakes.discord_server import refusals
from tests.fakes.discord_server.channel import PRIVATE_THREAD, PUBLIC_THREAD, Channel
from tests.fakes.discord_server.files import FILE_LIMIT_BYTES, StoredFile
from tests.fakes.discord_server.http import Call, Routes
from tests.fakes.discord_server.limits import MESSAGE, MESSAGES
from tests.fakes.discord_server.message import EPHEMERAL, REPLY, Message, pings, readable_data
from tests.fakes.discord_server.world import World

HOUR_S = 3600.0
messages = Routes()


@messages.on("GET", MESSAGES)
def history(world: World, call: Call) -> Any:
    channel = readable(world, call)
    if not channel.bot_may().read_message_history:
        raise refusals.missing_access()
    shown = [one for one in channel.messages if not one.ephemeral]
    return [_told(world, one) for one in reversed(_slice(shown, call.query))]


@messages.on("GET", MESSAGE)
def one_message(world: World, call: Call) -> Any:
    channel = readable(world, call)
    if not channel.bot_may().read_message_history:
        raise refusals.missing_access()
    return _told(world, _found(channel, call))


@messages.on("POST", MESSAGES)
def send(world: World, call: Call) -> Any:
    channel = readable(world, call)
    _need_to_write(channel, call)
    nonce = call.json.get("nonce")
    if nonce is not None and call.json.get("enforce_nonce") and (known := world.remembered(channel, str(nonce))):
        return known.payload()
    message = compose(world, channel, call)
    message.nonce = nonce
    message.answers = _answered(channel, call.json.get("message_reference"))
    message.kind = REPLY if message.answers else 0
    replied = message.answers.author if message.answers else None
    message.pings = pings(message.content, call.json.get("allowed_mentions"), replied)
    if nonce is not None:
        world.remember(channel, str(nonce), message)
    channel.archived = False
    channel.post(message)
    return message.payload()


@messages.on("PATCH", MESSAGE)
def edit(world: World, call: Call) -> Any:
    channel = readable(world, call)
    message = _found(channel, call)
    if message.author is not world.bot and set(call.json) != {"flags"}:
        raise refusals.others_message()
    if channel.archived:
        raise refusals.archived_thread()
    if world.clock.now() - message.sent > HOUR_S and len(message.edits) >= world.settings.old_edits:
        raise refusals.too_many_old_edits(world.settings.old_edit_retry_s)
    revise(world, message, call)
    channel.changed(message)
    return message.payload()


@messages.on("DELETE", MESSAGE)
def delete(world: World, call: Call) -> None:
    channel = readable(world, call)
    message = _found(channel, call)
    if message.author is not world.bot and not channel.bot_may().manage_messages:
        raise refusals.missing_permissions()
    message.deleted = True
    channel.forgotten(message)


@messages.on("POST", "/channels/{channel_id}/typing")
def typing(world: World, call: Call) -> None:
    channel = readable(world, call)
    _need_to_write(channel, call)
    channel.typed.append(world.clock.now())


def readable(world: World, call: Call) -> Channel:
    """The channel of a request, if the bot can see it."""
    channel = world.channels.get(call.id("channel_id"))
    if channel is None:
        raise refusals.unknown_channel()
    if not channel.bot_may().view_channel:
        raise refusals.missing_access()
    return channel


def compose(world: World, channel: Channel, call: Call) -> Message:
    """A new message of the bot from a body and its uploads, not yet posted."""
    body: Mapping[str, Any] = call.json or {}
    content = body.get("content") or ""
    if not (content.strip() or body.get("embeds") or call.files or body.get("components")):
        raise refusals.empty_message()
    now = world.clock.now()
    made = Message(world.ids.take(now), channel, world.bot, content, now)
    made.embeds, made.components = list(body.get("embeds") or ()), list(body.get("components") or ())
    made.flags = int(body.get("flags") or 0)
    made.files = _uploads(world, call)
    return made


def revise(world: World, message: Message, call: Call) -> None:
    """Change a message of the bot by a body; what the body does not name stays."""
    body: Mapping[str, Any] = call.json or {}
    if "embeds" in body:
        message.embeds = list(body["embeds"] or ())
    if "components" in body:
        message.components = list(body["components"] or ())
    if body.get("flags") is not None:
        # Who sees a message is settled when it is sent.
        message.flags = message.flags & EPHEMERAL | int(body["flags"]) & ~EPHEMERAL
    if "attachments" in body:
        kept = {int(one["id"]) for one in body["attachments"] or ()}
        message.files = [file for file in message.files if file.id in kept]
    message.files += _uploads(world, call)
    message.change(message.content if body.get("content") is None else body["content"], world.clock.now())
    if "content" in body and not body["content"] and not (message.embeds or message.files or message.components):
        raise refusals.empty_message()


def _uploads(world: World, call: Call) -> list[StoredFile]:
    if any(len(data) > FILE_LIMIT_BYTES for _, data, _ in call.files.values()):
        raise refusals.too_large()
    return [world.store(name, data) for _, (name, data, _) in sorted(call.files.items())]


def _need_to_write(channel: Channel, call: Call) -> None:
    may = channel.bot_may()
    if channel.locked and not may.manage_threads:
        raise refusals.thread_locked()
    writes = may.send_messages_in_threads if channel.kind in (PUBLIC_THREAD, PRIVATE_THREAD) else may.send_messages
    if not writes or (call.files and not may.attach_files):
        raise refusals.missing_permissions()
    if channel.partner is not None and channel.partner.closed_dms:
        raise refusals.closed_to_you()


def _answered(channel: Channel, reference: Mapping[str, Any] | None) -> Message | None:
    if not reference:
        return None
    found = channel.find(int(reference["message_id"]))
    if found is None and reference.get("fail_if_not_exists", True):
        raise refusals.invalid_form("message_reference: Unknown message")
    return found


def _found(channel: Channel, call: Call) -> Message:
    found = channel.find(call.id("message_id"))
    if found is None:
        raise refusals.unknown_message()
    return found


def _told(world: World, message: Message) -> Mapping[str, Any]:
    return readable_data(message, message.payload(), world.settings.privileged)


def _slice(shown: list[Message], query: Mapping[str, str]) -> list[Message]:
    """The messages of a history request, oldest first; its `limit` is 50 unless told (message.mdx)."""
    limit = int(query.get("limit", 50))
    if not 1 <= limit <= 100:
        raise refusals.invalid_form("limit: must be between 1 and 100")
    if "after" in query:
        return [one for one in shown if one.id > int(query["after"])][:limit]
    if "before" in query:
        return [one for one in shown if one.id < int(query["before"])][-limit:]
    if "around" in query:
        middle = int(query["around"])
        older = [one for one in shown if one.id < middle][-(limit // 2) :]
        return older + [one for one in shown if one.id >= middle][: limit - len(older)]
    return shown[-limit:]
