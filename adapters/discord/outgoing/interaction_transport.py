"""The place of the answer to a command or a button: the interaction while its token is good, elsewhere after that."""

import asyncio
import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import discord
from discord.http import handle_message_parameters
from discord.webhook.async_ import async_context

from adapters.delivery.rate_limit import Pace
from adapters.discord.failures import answering
from adapters.discord.limits import INVALID_WEBHOOK_TOKEN, UNKNOWN_INTERACTION, UNKNOWN_WEBHOOK
from adapters.discord.localization import language_of
from adapters.discord.outgoing.channel_transport import NOBODY, DiscordPlace, Target, Views
from adapters.discord.outgoing.interaction_token import SPARED_S, Grant
from adapters.discord.outgoing.rate_limits import METHODS, Rates
from adapters.discord.reply_transport import Channel, Part, Posted, Request, Unsettled
from bot.core.errors import ReplyFailed
from bot.core.texts import say

log = logging.getLogger(__name__)

ENDED = frozenset({UNKNOWN_WEBHOOK, INVALID_WEBHOOK_TOKEN, UNKNOWN_INTERACTION})


class TokenEnded(Exception):
    """The interaction's token is no longer good."""


class InteractionPlace:
    """Fills `Channel`. The first message takes the place of "is thinking", the others follow it.

    Shortly before the token's end a public answer goes on in the channel, a private one in direct messages; where
    those are shut, the channel only learns that the person should ask again. What stood here says so, or goes.
    """

    def __init__(self, bot: discord.Client, grant: Grant, rates: Rates, views: Views | None = None) -> None:
        self._bot = bot
        self._grant = grant
        self._rates = rates
        self._views = views
        self._is_taken = False
        self._elsewhere: Channel | None = None
        self._moved: dict[str, str] = {}

    def pace(self, kind: Request) -> Pace:
        """What Discord has said of such requests with this token, or of those where the answer goes on."""
        if self._elsewhere is not None:
            return self._elsewhere.pace(kind)
        key = f"{METHODS[kind]} webhooks/{self._grant.application_id}/{self._grant.token}"
        return self._rates.paces.of(key, asyncio.get_running_loop().time())

    async def prepare(self) -> None:
        """Nothing: whoever took the interaction has acknowledged it."""

    async def send(self, part: Part, nonce: str) -> Posted:
        """Post a message."""
        try:
            return await self._send_here(part)
        except TokenEnded:
            return await self._send_elsewhere(part, nonce)

    async def edit(self, platform_id: str, part: Part) -> None:
        """Change a message of ours; one that can no longer be changed is posted anew where it still can."""
        try:
            await self._edit_here(int(platform_id), part)
        except TokenEnded:
            await self._edit_elsewhere(platform_id, part)

    async def delete(self, platform_id: str) -> None:
        """Delete a message of ours; one that is gone already, or out of reach, is no error."""
        try:
            with self._granted() as webhook, suppress(discord.NotFound):
                await webhook.delete_message(int(platform_id))
        except TokenEnded:
            if self._elsewhere is not None and platform_id in self._moved:
                await self._elsewhere.delete(self._moved[platform_id])

    async def typing(self) -> None:
        """Discord itself says that the answer is being made, for as long as the token is good."""
        if not self._grant.is_good():
            place = await self._other_place()
            if not self._grant.private:
                await place.typing()

    async def answers(self) -> Sequence[Posted]:
        """The first message, where it has text already."""
        try:
            with self._granted() as webhook:
                original = await webhook.fetch_message(self._grant.original_id)
        except (TokenEnded, ReplyFailed):
            return []
        self._is_taken = bool(original.content)
        return [Posted(str(original.id), original.content)] if original.content else []

    async def _send_here(self, part: Part) -> Posted:
        if not self._is_taken:
            await self._edit_here(self._grant.original_id, part)
            self._is_taken = True
            return Posted(str(self._grant.original_id), part.text)
        shown = self._shown(part, "files")
        with self._granted() as webhook:
            sent = await webhook.send(
                part.text, wait=True, ephemeral=self._grant.private, suppress_embeds=True, **shown
            )
            return Posted(str(sent.id), sent.content)

    async def _edit_here(self, message_id: int, part: Part, spared_s: float = SPARED_S) -> None:
        # Not `webhook.edit_message`: it cannot keep links from unfolding, which Discord lets an edit do.
        flags = discord.MessageFlags(suppress_embeds=True, ephemeral=self._grant.private)
        shown = self._shown(part, "attachments")
        with (
            self._granted(spared_s) as webhook,
            handle_message_parameters(part.text, flags=flags, **shown) as parameters,
        ):
            await async_context.get().edit_webhook_message(
                webhook.id,
                self._grant.token,
                message_id,
                session=webhook.session,
                proxy=webhook.proxy,
                proxy_auth=webhook.proxy_auth,
                payload=parameters.payload,
                multipart=parameters.multipart,
                files=parameters.files,
            )

    async def _send_elsewhere(self, part: Part, nonce: str) -> Posted:
        try:
            return await (await self._other_place()).send(part, nonce)
        except ReplyFailed:
            if self._grant.private:
                await self._ask_again()
            raise

    async def _edit_elsewhere(self, platform_id: str, part: Part) -> None:
        if platform_id in self._moved:
            await (await self._other_place()).edit(self._moved[platform_id], part)
            return
        # What is shown cannot be changed any more, so the newest text is posted, whole, where it can.
        posted = await self._send_elsewhere(part, f"{self._grant.interaction_id}m{len(self._moved)}")
        self._moved[platform_id] = posted.platform_id
        await self._clear(int(platform_id))

    async def _other_place(self) -> Channel:
        if self._elsewhere is None:
            channel_id = self._grant.channel_id
            if self._grant.private:
                with answering():
                    channel_id = (await self._bot.create_dm(discord.Object(self._grant.user_id))).id
            self._elsewhere = self._place(channel_id)
            log.info("The token of interaction %d ends, its answer goes on elsewhere.", self._grant.interaction_id)
            if self._grant.original_id and not self._is_taken:
                await self._clear(self._grant.original_id)
        return self._elsewhere

    async def _clear(self, message_id: int) -> None:
        """Nothing may stand here for ever as if more came: what everybody sees goes, to one person a sentence says
        where the answer is.
        """
        with suppress(ReplyFailed, Unsettled, TokenEnded):
            if not self._grant.private:
                await self._place(self._grant.channel_id).delete(str(message_id))
            else:
                goes_on = say("private_goes_on", language_of(self._grant.locale))
                await self._edit_here(message_id, Part(goes_on), spared_s=0.0)

    def _place(self, channel_id: int) -> DiscordPlace:
        # With the channel itself as the question nothing is referred to: there is no message to reply to.
        return DiscordPlace(self._bot, Target(channel_id, channel_id, self._grant.guild_id), self._rates, self._views)

    async def _ask_again(self) -> None:
        sentence = say("private_too_late", language_of(self._grant.locale), person=f"<@{self._grant.user_id}>")
        with suppress(ReplyFailed, Unsettled):
            nonce = f"{self._grant.interaction_id}again"
            await self._place(self._grant.channel_id).send(Part(sentence), nonce)

    @contextmanager
    def _granted(self, spared_s: float = SPARED_S) -> Iterator[discord.Webhook]:
        if not self._grant.is_good(spared_s):
            raise TokenEnded
        with answering():
            try:
                webhook = discord.Webhook.partial(self._grant.application_id, self._grant.token, client=self._bot)
                webhook.type = discord.WebhookType.application  # else the library refuses messages for one person
                yield webhook
            except discord.HTTPException as error:
                if error.code in ENDED:
                    raise TokenEnded from error
                raise

    def _shown(self, part: Part, files_key: str) -> dict[str, Any]:
        settings: dict[str, Any] = {"allowed_mentions": NOBODY}
        view = self._views(part.buttons) if self._views else None
        if view is not None:
            settings["view"] = view
        if part.pictures:
            settings[files_key] = [discord.File(io.BytesIO(picture.data), picture.name) for picture in part.pictures]
        return settings
