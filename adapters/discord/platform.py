"""Discord as a platform. Its library is imported only when the adapter is built or checked."""

from collections.abc import AsyncIterator

from adapters.discord.ids import PERSON_FORMS, READER_FORMS
from adapters.discord.settings import DiscordSettings
from adapters.discord.texts import TEXTS
from adapters.platform import BuildContext, Check, CheckContext, Platform, PlatformAdapter


def build_adapter(settings: DiscordSettings, context: BuildContext) -> PlatformAdapter:
    """The adapter with its commands and buttons."""
    from adapters.discord.adapter import DiscordAdapter
    from adapters.discord.composition import cog_builder

    return DiscordAdapter(settings, context.data_folder, cog_builder(settings, context.data_folder))


async def check(settings: DiscordSettings, context: CheckContext) -> AsyncIterator[Check]:
    """Whether Discord accepts the bot's token."""
    from adapters.discord.checks import check_token

    yield await check_token(settings, context)


DISCORD = Platform(
    name="discord",
    title="Discord",
    summary="Where and whom Hearth answers on Discord.",
    settings=DiscordSettings,
    build=build_adapter,
    check=check,
    texts=TEXTS,
    replaced_keys={
        "attachments": "attachment_limit",
        "catch_up_s": "catch_up_max_age_s",
        "each_channel": "channel_overrides",
        "reply_chain": "reply_chain_limit",
        "silence_s": "gateway_silence_timeout_s",
    },
    reader_forms=READER_FORMS,
    person_forms=PERSON_FORMS,
)
