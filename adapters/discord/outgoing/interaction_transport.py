"""Reply transport for a command or a button: the interaction while its token is valid, another channel after that."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import discord
from discord.http import handle_message_parameters
from discord.webhook.async_ import async_context

from adapters.delivery.errors import TransientFailure
from adapters.delivery.rate_limit import RateLimit
from adapters.delivery.reply_transport import RequestKind
from adapters.discord.failures import translate_errors
from adapters.discord.limits import INVALID_WEBHOOK_TOKEN, UNKNOWN_INTERACTION, UNKNOWN_WEBHOOK
from adapters.discord.localization import language_of
from adapters.discord.outgoing.channel_transport import ChannelTransport, DiscordReplyTarget
from adapters.discord.outgoing.interaction_token import TOKEN_MARGIN_S, InteractionToken
from adapters.discord.outgoing.layout import DiscordPart
from adapters.discord.outgoing.rate_limits import METHODS, DiscordRateLimits
from adapters.discord.outgoing.transport import DiscordTransport, TellAsker, ViewFactory, to_discord_files
from adapters.discord.texts import localize
from bot.core.errors import ReplyFailed

log = logging.getLogger(__name__)

EXPIRED_CODES = frozenset({UNKNOWN_WEBHOOK, INVALID_WEBHOOK_TOKEN, UNKNOWN_INTERACTION})


class TokenExpired(Exception):
    """The interaction's token is no longer valid."""


class InteractionTransport(DiscordTransport):
    """Posts with the token. The first message replaces "is thinking", the others follow it.

    Shortly before the token's end a public answer continues in the channel, a private one in direct messages; when
    those are closed, the channel only tells the person to ask again. The placeholder points there, or is deleted.
    """

    def __init__(
        self,
        bot: discord.Client,
        token: InteractionToken,
        rates: DiscordRateLimits,
        views: ViewFactory | None = None,
        tell_asker: TellAsker | None = None,
    ) -> None:
        super().__init__(bot, rates, views, tell_asker)
        self._token = token
        self._original_used = False
        self._fallback: ChannelTransport | None = None
        self._moved_ids: dict[str, str] = {}

    def limit_for(self, kind: RequestKind) -> RateLimit:
        """The rate limit of such requests with this token, or in the channel where the answer continues."""
        if self._fallback is not None:
            return self._fallback.limit_for(kind)
        key = f"{METHODS[kind]} webhooks/{self._token.application_id}/{self._token.token}"
        return self._rate_limits.limits.limit_for(key, asyncio.get_running_loop().time())

    async def prepare(self) -> None:
        """Nothing: the interaction has been acknowledged."""

    async def send(self, part: DiscordPart, request_id: str) -> str:
        """Post a message."""
        try:
            return await self._send_here(part)
        except TokenExpired:
            return await self._send_to_fallback(part, request_id)

    async def edit_message(self, platform_id: str, part: DiscordPart, request_id: str = "") -> None:
        """Change a message of ours; one that can no longer be changed is posted again in the fallback channel."""
        try:
            await self._edit_here(int(platform_id), part)
        except TokenExpired:
            await self._edit_in_fallback(platform_id, part)

    async def delete_message(self, platform_id: str) -> None:
        """Delete a message of ours; one that is deleted already, or out of reach, is no error."""
        try:
            with self._open_webhook() as webhook, suppress(discord.NotFound):
                await webhook.delete_message(int(platform_id))
        except TokenExpired:
            if self._fallback is not None and platform_id in self._moved_ids:
                await self._fallback.delete_message(self._moved_ids[platform_id])

    async def remove_buttons(self, platform_id: str) -> None:
        """Remove the buttons of a message of ours; one that is out of reach keeps them."""
        if self._fallback is not None and platform_id in self._moved_ids:
            await self._fallback.remove_buttons(self._moved_ids[platform_id])
            return
        with suppress(TokenExpired), self._open_webhook() as webhook:
            await webhook.edit_message(int(platform_id), view=None)

    async def send_typing(self) -> None:
        """Show typing in the fallback channel; while the token is valid, Discord itself shows "is thinking"."""
        if not self._token.is_valid():
            fallback = await self._open_fallback()
            if not self._token.private:
                await fallback.send_typing()

    async def fetch_posted(self) -> Sequence[str]:
        """The id of the first message when it has a text already."""
        try:
            with self._open_webhook() as webhook:
                original = await webhook.fetch_message(self._token.original_id)
        except (TokenExpired, ReplyFailed):
            return []
        self._original_used = bool(original.content)
        return [str(original.id)] if original.content else []

    async def _send_here(self, part: DiscordPart) -> str:
        if not self._original_used:
            await self._edit_here(self._token.original_id, part)
            self._original_used = True
            return str(self._token.original_id)
        options = self._options_with_files(part, "files")
        with self._open_webhook() as webhook:
            sent = await webhook.send(
                part.text, wait=True, ephemeral=self._token.private, suppress_embeds=True, **options
            )
            return str(sent.id)

    async def _edit_here(self, message_id: int, part: DiscordPart, margin_s: float = TOKEN_MARGIN_S) -> None:
        # Not `webhook.edit_message`: it cannot suppress embeds, although Discord accepts that in an edit.
        flags = discord.MessageFlags(suppress_embeds=True, ephemeral=self._token.private)
        options = self._options_with_files(part, "attachments")
        with (
            self._open_webhook(margin_s) as webhook,
            handle_message_parameters(part.text, flags=flags, **options) as parameters,
        ):
            await async_context.get().edit_webhook_message(
                webhook.id,
                self._token.token,
                message_id,
                session=webhook.session,
                proxy=webhook.proxy,
                proxy_auth=webhook.proxy_auth,
                payload=parameters.payload,
                multipart=parameters.multipart,
                files=parameters.files,
            )

    async def _send_to_fallback(self, part: DiscordPart, nonce: str) -> str:
        try:
            return await (await self._open_fallback()).send(part, nonce)
        except ReplyFailed:
            if self._token.private:
                await self._send_too_late()
            raise

    async def _edit_in_fallback(self, platform_id: str, part: DiscordPart) -> None:
        if platform_id in self._moved_ids:
            await (await self._open_fallback()).edit_message(self._moved_ids[platform_id], part)
            return
        # The message cannot be changed any more, so the newest text is posted as a whole in the fallback channel.
        nonce = f"{self._token.interaction_id}m{len(self._moved_ids)}"
        self._moved_ids[platform_id] = await self._send_to_fallback(part, nonce)
        await self._clear_placeholder(int(platform_id))

    async def _open_fallback(self) -> ChannelTransport:
        if self._fallback is None:
            channel_id = self._token.channel_id
            if self._token.private:
                with translate_errors():
                    channel_id = (await self._bot.create_dm(discord.Object(self._token.user_id))).id
            self._fallback = self._channel_transport(channel_id)
            log.info("Continuing the answer to interaction %d elsewhere, its token ends.", self._token.interaction_id)
            if self._token.original_id and not self._original_used:
                await self._clear_placeholder(self._token.original_id)
        return self._fallback

    async def _clear_placeholder(self, message_id: int) -> None:
        """Leave no message that looks unfinished: delete a public one, let a private one say where the answer is."""
        with suppress(ReplyFailed, TransientFailure, TokenExpired):
            if not self._token.private:
                await self._channel_transport(self._token.channel_id).delete_message(str(message_id))
            else:
                sentence = localize("private_goes_on", language_of(self._token.locale))
                await self._edit_here(message_id, DiscordPart(sentence), margin_s=0.0)

    def _channel_transport(self, channel_id: int) -> ChannelTransport:
        # With the channel's own id as the question there is no reference: there is no message to reply to.
        return ChannelTransport(
            self._bot,
            DiscordReplyTarget(channel_id, channel_id, self._token.guild_id),
            self._rate_limits,
            self._make_view,
        )

    async def _send_too_late(self) -> None:
        sentence = localize("private_too_late", language_of(self._token.locale), person=f"<@{self._token.user_id}>")
        with suppress(ReplyFailed, TransientFailure):
            nonce = f"{self._token.interaction_id}again"
            await self._channel_transport(self._token.channel_id).send(DiscordPart(sentence), nonce)

    @contextmanager
    def _open_webhook(self, margin_s: float = TOKEN_MARGIN_S) -> Iterator[discord.Webhook]:
        if not self._token.is_valid(margin_s):
            raise TokenExpired
        with translate_errors():
            try:
                webhook = discord.Webhook.partial(self._token.application_id, self._token.token, client=self._bot)
                webhook.type = discord.WebhookType.application  # else the library refuses messages for one person
                yield webhook
            except discord.HTTPException as error:
                if error.code in EXPIRED_CODES:
                    raise TokenExpired from error
                raise

    def _options_with_files(self, part: DiscordPart, files_key: str) -> dict[str, Any]:
        options = self._message_options(part)
        return options | {files_key: to_discord_files(part.pictures)} if part.pictures else options
