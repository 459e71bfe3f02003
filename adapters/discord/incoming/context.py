"""Reads what was said before a question: its reply chain, and the channel's last messages where that is allowed."""

import logging
from collections.abc import Callable

import discord

from adapters.discord.failures import LOST
from bot.core.messages import Said

log = logging.getLogger(__name__)

Speak = Callable[[discord.Message], str]
"""A message's text for people, without Discord's marks."""


async def before(message: discord.Message, chain: int, recent: int, speak: Speak) -> tuple[Said, ...]:
    """What was said before a message, nothing twice: the channel oldest first, then the reply chain, oldest first."""
    replied = await _chain(message, chain)
    known = {each.id for each in replied}
    last = [each for each in await _recent(message, recent) if each.id not in known]
    said = [Said(each.author.display_name, speak(each)) for each in (*last, *replied)]
    return tuple(each for each in said if each.text)


async def replied_to(message: discord.Message) -> discord.Message | None:
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
    except (discord.HTTPException, *LOST) as error:
        log.debug("The message replied to is out of reach: %s", type(error).__name__)
        return None


async def _chain(message: discord.Message, limit: int) -> list[discord.Message]:
    chain: list[discord.Message] = []
    above: discord.Message | None = message
    while above is not None and len(chain) < limit:
        above = await replied_to(above)
        if above is not None:
            chain.append(above)
    return chain[::-1]


async def recent(channel: discord.abc.Messageable, before_id: int, limit: int, speak: Speak) -> tuple[Said, ...]:
    """What was said in a channel before the moment of an id, oldest first."""
    said = [
        Said(each.author.display_name, speak(each)) for each in await _last(channel, discord.Object(before_id), limit)
    ]
    return tuple(each for each in said if each.text)


async def _recent(message: discord.Message, limit: int) -> list[discord.Message]:
    return await _last(message.channel, message, limit)


async def _last(channel: discord.abc.Messageable, before: discord.abc.Snowflake, limit: int) -> list[discord.Message]:
    if not limit:
        return []
    try:
        return [each async for each in channel.history(limit=limit, before=before)][::-1]
    except (discord.HTTPException, *LOST) as error:
        log.warning("The last messages of a channel cannot be read: %s", type(error).__name__)
        return []
