"""Registers the commands with Discord, only where it has others: a bot may create 200 commands a day."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import discord
from discord.http import Route

from adapters.discord.commands.app_commands import TreeCommand
from adapters.discord.connection.session import AnyBot
from adapters.discord.failures import CONNECTION_ERRORS, error_sentence, failure_reason
from adapters.discord.localization import CommandTranslator

log = logging.getLogger(__name__)

MAX_COMMANDS = {1: 100, 2: 5, 3: 5}
"""The most global commands of each type: slash commands, user menus, message menus
(`interactions/application-commands.mdx`).
"""

WRITABLE = frozenset(
    {
        "type",
        "name",
        "name_localizations",
        "description",
        "description_localizations",
        "options",
        "default_member_permissions",
        "nsfw",
        "integration_types",
        "contexts",
        "handler",
    }
)
"""What a program may say of a command (`interactions/application-commands.mdx`)."""

CommandKey = tuple[str, int]
"""Identifies a command: its name and its type."""


async def register_commands(bot: AnyBot, commands: Sequence[TreeCommand], file: Path) -> bool:
    """Register the commands, and keep those that other programs registered; True when Discord did not have them yet.

    `file` records the last registration, by application; Discord is asked all the same, because a bot that replaces
    all of its commands at each start removes Hearth's. A refusal is logged, and the next start tries again.
    """
    payloads = [await command.get_translated_payload(bot.tree, CommandTranslator()) for command in commands]
    digest = hashlib.sha256(json.dumps(payloads, sort_keys=True).encode()).hexdigest()
    record, application = _read_record(file), str(bot.application_id)
    last = record.get(application, {})
    before = {(name, kind) for name, kind in last.get("commands", [])} | set(map(_command_key, payloads))
    try:
        registered = await _fetch_commands(bot)
        others = [_as_sent(command) for command in registered if _command_key(command) not in before]
        payloads = _fitting(payloads, others)
        own = set(map(_command_key, payloads))
        if last.get("hash") == digest and own <= set(map(_command_key, registered)):
            return False
        await _replace_commands(bot, [*others, *payloads])
    except discord.HTTPException as error:
        log.warning("Could not update the slash commands: %s", error_sentence(error))
        return False
    except CONNECTION_ERRORS as error:
        log.warning("Could not update the slash commands: %s", failure_reason(error))
        return False
    _write_record(file, record | {application: {"hash": digest, "commands": sorted(own)}})
    log.info("Registered %d commands with Discord.", len(payloads))
    return True


async def _fetch_commands(bot: AnyBot) -> list[Any]:
    assert bot.application_id is not None, "the bot is logged in"
    # Not `get_global_commands`: it asks for no translations, which others would lose when they are sent back.
    route = Route("GET", "/applications/{application_id}/commands", application_id=bot.application_id)
    return list(await bot.http.request(route, params={"with_localizations": "true"}))


def _as_sent(command: Mapping[str, Any]) -> dict[str, Any]:
    """A registered command as a program sends it, without what Discord has added."""
    return {key: value for key, value in command.items() if key in WRITABLE and value is not None}


async def _replace_commands(bot: AnyBot, payloads: list[Any]) -> None:
    assert bot.application_id is not None, "the bot is logged in"
    await bot.http.bulk_upsert_global_commands(bot.application_id, payload=payloads)


def _fitting(payloads: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """The commands for which others leave room; those that are left out are logged."""
    kinds = Counter(_command_key(command)[1] for command in others)
    fitting = []
    for payload in payloads:
        name, kind = _command_key(payload)
        if kinds[kind] < MAX_COMMANDS[kind]:
            kinds[kind] += 1
            fitting.append(payload)
        else:
            log.warning("Skipping the command “%s”: Discord has %d of other programs already.", name, kinds[kind])
    return fitting


def _command_key(payload: Any) -> CommandKey:
    return str(payload["name"]), int(payload.get("type", 1))


def _read_record(file: Path) -> dict[str, Any]:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _write_record(file: Path, record: dict[str, Any]) -> None:
    temporary = file.with_suffix(".new")
    try:
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        log.warning("Could not write %s, so the commands are registered at each start: %s", file, error.strerror)
