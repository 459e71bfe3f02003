"""Reads the messages before a question: its reply chain, and the channel's last messages where that is allowed."""

import logging
from collections.abc import Callable, Iterable

import discord

from adapters.discord.failures import CONNECTION_ERRORS, failure_reason
from bot.core.messages import ContextMessage

log = logging.getLogger(__name__)

MessageToContext = Callable[[discord.Message], ContextMessage]
"""Turns an earlier message into the speaker and their words, as people read them."""


async def read_context(
    message: discord.Message, chain_limit: int, recent_limit: int, to_context: MessageToContext
) -> tuple[ContextMessage, ...]:
    """The messages before a message, none twice: the channel oldest first, then the reply chain, oldest first."""
    chain = await _fetch_reply_chain(message, chain_limit)
    known = {each.id for each in chain}
    recent = [each for each in await _fetch_before(message.channel, message, recent_limit) if each.id not in known]
    return _context_messages((*recent, *chain), to_context)


async def fetch_replied_to(message: discord.Message) -> discord.Message | None:
    """The message that this one replies to; None when there is none, or it cannot be read."""
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
        log.debug("Could not read the message replied to: %s", failure_reason(error))
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
    channel: discord.abc.Messageable, before_id: int, limit: int, to_context: MessageToContext
) -> tuple[ContextMessage, ...]:
    """The messages of a channel before the time of an id, oldest first."""
    return _context_messages(await _fetch_before(channel, discord.Object(before_id), limit), to_context)


def _context_messages(messages: Iterable[discord.Message], to_context: MessageToContext) -> tuple[ContextMessage, ...]:
    return tuple(each for each in map(to_context, messages) if each.text)


async def _fetch_before(
    channel: discord.abc.Messageable, before: discord.abc.Snowflake, limit: int
) -> list[discord.Message]:
    if not limit:
        return []
    try:
        return [each async for each in channel.history(limit=limit, before=before)][::-1]
    except (discord.HTTPException, *CONNECTION_ERRORS) as error:
        log.warning("Could not read the last messages of a channel: %s", failure_reason(error))
        return []
