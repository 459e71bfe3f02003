"""Hands the commands' definitions to Discord, only when they have changed: it takes 200 new ones a day of a bot."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import discord

from adapters.discord.commands.app_commands import TreeCommand
from adapters.discord.connection.session import AnyBot
from adapters.discord.failures import CONNECTION_ERRORS, error_sentence
from adapters.discord.localization import CommandTranslator

log = logging.getLogger(__name__)

CommandKey = tuple[str, int]
"""What makes a command unique: its name and its type."""


async def register_commands(bot: AnyBot, commands: Sequence[TreeCommand], file: Path) -> bool:
    """Give Discord our commands as they are now, beside the ones that others have given it; True when it was needed.

    What was handed over last stands in `file`, by application. A refusal is logged, and tried again at the next start.
    """
    payloads = [await command.get_translated_payload(bot.tree, CommandTranslator()) for command in commands]
    digest = hashlib.sha256(json.dumps(payloads, sort_keys=True).encode()).hexdigest()
    kept, application = _read_record(file), str(bot.application_id)
    last = kept.get(application, {})
    if last.get("hash") == digest:
        return False
    ours = {_command_key(payload) for payload in payloads}
    before = {(name, kind) for name, kind in last.get("commands", [])}
    try:
        await _replace_commands(bot, payloads, ours | before)
    except discord.HTTPException as error:
        log.warning("The slash commands are not up to date: %s", error_sentence(error))
        return False
    except CONNECTION_ERRORS as error:
        log.warning("The slash commands are not up to date: %s", type(error).__name__)
        return False
    _write_record(file, kept | {application: {"hash": digest, "commands": sorted(ours)}})
    log.info("Discord has the new definitions of %d commands.", len(payloads))
    return True


async def _replace_commands(bot: AnyBot, payloads: Sequence[Any], ours: set[CommandKey]) -> None:
    assert bot.application_id is not None, "the bot is logged in"
    there = await bot.http.get_global_commands(bot.application_id)
    others: list[Any] = [command for command in there if _command_key(command) not in ours]
    await bot.http.bulk_upsert_global_commands(bot.application_id, payload=[*others, *payloads])


def _command_key(payload: Any) -> CommandKey:
    return str(payload["name"]), int(payload.get("type", 1))


def _read_record(file: Path) -> dict[str, Any]:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write_record(file: Path, kept: dict[str, Any]) -> None:
    temporary = file.with_suffix(".new")
    try:
        temporary.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        log.warning("%s cannot be written, so the commands are handed over at each start: %s", file, error.strerror)
