"""Tin as a platform: one question per line over a connection to this machine."""

from collections.abc import AsyncIterator

import click
from pydantic import BaseModel, ConfigDict, Field

from adapters.platform import BuildContext, Check, CheckContext, CommandGroup, Platform, PlatformAdapter
from bot.core.texts import CORE_TEXTS, Texts

TEXTS = Texts(__package__, CORE_TEXTS)


class TinSettings(BaseModel):
    """Where Hearth listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(False, description="Whether `hearth run` listens.")
    port: int = Field(0, ge=0, le=65535, description="Port on 127.0.0.1; 0 takes any free one.")


def build(settings: TinSettings, context: BuildContext) -> PlatformAdapter:
    from hearth_tin.adapter import TinAdapter

    return TinAdapter(settings.port, context.profile)


async def check(settings: TinSettings, context: CheckContext) -> AsyncIterator[Check]:
    yield Check("tin", "ok", f"Tin uses port {settings.port or 'any'}.", {"port": settings.port})


def load_commands() -> click.Group:
    from hearth_tin.commands import tin

    return tin


TIN = Platform(
    name="tin",
    title="Tin",
    summary="Where Hearth listens for tin cans.",
    settings=TinSettings,
    build=build,
    check=check,
    commands=CommandGroup("Show how Tin is set up.", load_commands),
    texts=TEXTS,
    replaced_keys={"socket": "port"},
)
