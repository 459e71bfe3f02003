"""Registers the commands with Discord, only after changes: a bot may create 200 commands a day."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import discord

from adapters.discord.commands.app_commands import TreeCommand
from adapters.discord.connection.session import AnyBot
from adapters.discord.failures import CONNECTION_ERRORS, error_sentence, failure_reason
from adapters.discord.localization import CommandTranslator

log = logging.getLogger(__name__)

CommandKey = tuple[str, int]
"""Identifies a command: its name and its type."""


async def register_commands(bot: AnyBot, commands: Sequence[TreeCommand], file: Path) -> bool:
    """Register the commands, and keep those that other programs registered; True when Discord did not have them yet.

    `file` records the last registration, by application. A refusal is logged, and the next start tries again.
    """
    payloads = [await command.get_translated_payload(bot.tree, CommandTranslator()) for command in commands]
    digest = hashlib.sha256(json.dumps(payloads, sort_keys=True).encode()).hexdigest()
    record, application = _read_record(file), str(bot.application_id)
    last = record.get(application, {})
    if last.get("hash") == digest:
        return False
    own = {_command_key(payload) for payload in payloads}
    before = {(name, kind) for name, kind in last.get("commands", [])}
    try:
        await _replace_commands(bot, payloads, own | before)
    except discord.HTTPException as error:
        log.warning("Could not update the slash commands: %s", error_sentence(error))
        return False
    except CONNECTION_ERRORS as error:
        log.warning("Could not update the slash commands: %s", failure_reason(error))
        return False
    _write_record(file, record | {application: {"hash": digest, "commands": sorted(own)}})
    log.info("Registered %d commands with Discord.", len(payloads))
    return True


async def _replace_commands(bot: AnyBot, payloads: Sequence[Any], own: set[CommandKey]) -> None:
    assert bot.application_id is not None, "the bot is logged in"
    registered = await bot.http.get_global_commands(bot.application_id)
    others: list[Any] = [command for command in registered if _command_key(command) not in own]
    await bot.http.bulk_upsert_global_commands(bot.application_id, payload=[*others, *payloads])


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
