"""Fetches the files that come with a question, within the limits."""

import logging
import mimetypes
from collections.abc import Sequence

import discord

from adapters.discord.failures import LOST
from bot.core.events import TOO_LARGE, Attachment

log = logging.getLogger(__name__)

UNKNOWN = "application/octet-stream"


async def fetch(files: Sequence[discord.Attachment], count: int, limit_bytes: int) -> tuple[Attachment, ...]:
    """The first `count` files. Of pictures, and of files over the limit, only the name comes, without data."""
    return tuple([await _one(file, limit_bytes) for file in files[:count]])


async def _one(file: discord.Attachment, limit_bytes: int) -> Attachment:
    media_type = (file.content_type or mimetypes.guess_type(file.filename)[0] or UNKNOWN).partition(";")[0]
    if file.size > limit_bytes:
        return Attachment(file.filename, f"{TOO_LARGE}{limit_bytes}", b"")
    if media_type.startswith("image/"):
        return Attachment(file.filename, media_type, b"")
    try:
        return Attachment(file.filename, media_type, await file.read())
    except (discord.HTTPException, *LOST) as error:
        log.warning("A file of message attachment %d could not be fetched: %s", file.id, type(error).__name__)
        return Attachment(file.filename, media_type, b"")
