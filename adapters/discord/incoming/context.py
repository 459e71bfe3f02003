"""Reads what was said before a question: its reply chain, and the channel's last messages where that is allowed."""

import logging
from collections.abc import Callable

import discord

from adapters.discord.failures import CONNECTION_ERRORS
from bot.core.messages import ContextMessage

log = logging.getLogger(__name__)

MessageToText = Callable[[discord.Message], str]
"""A message's text for people, without Discord's marks."""


async def read_context(
    message: discord.Message, chain: int, recent: int, speak: MessageToText
) -> tuple[ContextMessage, ...]:
    """What was said before a message, nothing twice: the channel oldest first, then the reply chain, oldest first."""
    replied = await _fetch_reply_chain(message, chain)
    known = {each.id for each in replied}
    last = [each for each in await _fetch_recent(message, recent) if each.id not in known]
    said = [ContextMessage(each.author.display_name, speak(each)) for each in (*last, *replied)]
    return tuple(each for each in said if each.text)


async def fetch_replied_to(message: discord.Message) -> discord.Message | None:
    """The message that this one replies to; None when there is none, or it is gone or out of reach."""
    reference = message.reference
    if reference is None or reference.type is not discord.MessageReferenceType.reply or reference.message_id is None:
        return None
    if isinstance(reference.resolved, discord.Message):
        return reference.resolved
    if isinstance(reference.resolved, discord.DeletedReferencedMessage):
        return None
    try:
        return await message.channel.fetch_message(reference.message_id)
    except (discord.HTTPException, *CONNECTION_ERRORS) as error:
        log.debug("The message replied to is out of reach: %s", type(error).__name__)
        return None


async def _fetch_reply_chain(message: discord.Message, limit: int) -> list[discord.Message]:
    chain: list[discord.Message] = []
    above: discord.Message | None = message
    while above is not None and len(chain) < limit:
        above = await fetch_replied_to(above)
        if above is not None:
            chain.append(above)
    return chain[::-1]


async def read_recent(
    channel: discord.abc.Messageable, before_id: int, limit: int, speak: MessageToText
) -> tuple[ContextMessage, ...]:
    """What was said in a channel before the moment of an id, oldest first."""
    said = [
        ContextMessage(each.author.display_name, speak(each))
        for each in await _fetch_before(channel, discord.Object(before_id), limit)
    ]
    return tuple(each for each in said if each.text)


async def _fetch_recent(message: discord.Message, limit: int) -> list[discord.Message]:
    return await _fetch_before(message.channel, message, limit)


async def _fetch_before(
    channel: discord.abc.Messageable, before: discord.abc.Snowflake, limit: int
) -> list[discord.Message]:
    if not limit:
        return []
    try:
        return [each async for each in channel.history(limit=limit, before=before)][::-1]
    except (discord.HTTPException, *CONNECTION_ERRORS) as error:
        log.warning("The last messages of a channel cannot be read: %s", type(error).__name__)
        return []
