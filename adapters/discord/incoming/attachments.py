"""Fetches the files attached to a question, within the limits."""

import asyncio
import logging
import mimetypes
from collections.abc import Sequence

import discord

from adapters.discord.failures import CONNECTION_ERRORS, failure_reason
from bot.core.messages import Attachment

log = logging.getLogger(__name__)

UNKNOWN_MEDIA_TYPE = "application/octet-stream"


async def fetch_attachments(
    files: Sequence[discord.Attachment], limit_bytes: int, timeout_s: float
) -> tuple[Attachment, ...]:
    """The files; pictures, files over the limit and files that do not arrive in time come without their data."""
    return tuple(await asyncio.gather(*(_fetch_one(file, limit_bytes, timeout_s) for file in files)))


async def _fetch_one(file: discord.Attachment, limit_bytes: int, timeout_s: float) -> Attachment:
    media_type = (file.content_type or mimetypes.guess_type(file.filename)[0] or UNKNOWN_MEDIA_TYPE).partition(";")[0]
    if file.size > limit_bytes:
        return Attachment.too_large(file.filename, limit_bytes)
    if media_type.startswith("image/"):
        return Attachment(file.filename, media_type, b"")
    try:
        async with asyncio.timeout(timeout_s):
            return Attachment(file.filename, media_type, await file.read())
    except (discord.HTTPException, *CONNECTION_ERRORS) as error:
        log.warning("Could not fetch the attached file %d: %s", file.id, failure_reason(error))
        return Attachment.not_fetched(file.filename)
