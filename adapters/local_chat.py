"""The platform that local clients talk through: over the socket in the data folder, or over standard input."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from adapters.json_lines.channel import LineChannel
from adapters.platform import BuildContext, Platform, PlatformAdapter


class LocalChatSettings(BaseModel):
    """The settings that the local socket and its clients share with the platform."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line_bytes: int = Field(32_000_000, ge=1000, description="Longer input lines are refused, in bytes.")


LocalSettingsT = TypeVar("LocalSettingsT", bound=LocalChatSettings)


class LocalChatAdapter(PlatformAdapter, Protocol):
    """An adapter that serves local clients."""

    home_ended: asyncio.Event
    """Set when the home channel's input has ended and every message in it is answered."""

    async def serve_client(self, channel: LineChannel, folder: Path) -> None:
        """Serve one client until its input has ended and every message in it is answered; `folder` is where its
        relative attachment paths start. Raises ReplyFailed when the client has disconnected.
        """
        ...


@dataclass(frozen=True)
class LocalChatPlatform(Platform[LocalSettingsT], Generic[LocalSettingsT]):
    """The platform of local clients. Exactly one is registered; it has no key `enabled`, because it always runs."""

    build: Callable[[LocalSettingsT, BuildContext], LocalChatAdapter]
