"""Errors of Discord's library, made without a request."""

from typing import cast

import aiohttp
import discord


class Answer:
    """An answer of Discord's, as its library keeps it in errors."""

    reason = ""

    def __init__(self, status: int) -> None:
        self.status = status


def refusal(status: int, code: int) -> discord.HTTPException:
    """The error for a request that Discord refuses."""
    kinds = {403: discord.Forbidden, 404: discord.NotFound}
    answer = cast(aiohttp.ClientResponse, Answer(status))
    return kinds.get(status, discord.HTTPException)(answer, {"code": code, "message": "no"})
