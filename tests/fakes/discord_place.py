"""A channel of Discord in memory, as the transport of a reply: it remembers nonces and enforces Discord's rules."""

from collections.abc import Sequence
from datetime import timedelta

from discord.utils import time_snowflake, utcnow

from adapters.delivery.errors import TransientFailure
from adapters.delivery.rate_limit import RateLimit
from adapters.delivery.reply_transport import RequestKind
from adapters.discord.limits import CONTENT_CHARACTERS, NONCE_CHARACTERS
from adapters.discord.outgoing.layout import DiscordPart
from adapters.discord.outgoing.typing_indicator import DiscordTypingIndicator
from bot.core.errors import ReplyFailed


class MemoryTransport:
    """Fills `ReplyTransport`. `parts` is what the channel shows, by id; `requests` the requests in order. The next ones
    fail with the errors in `failures`.
    """

    def __init__(self) -> None:
        self.parts: dict[str, DiscordPart] = {}
        self.nonces: dict[str, str] = {}
        self.requests: list[str] = []
        self.reported: list[tuple[list[str], str]] = []
        self.typings = 0
        self.typing = DiscordTypingIndicator(self.send_typing)
        self.refuses_with = ""
        self.failures: list[TransientFailure] = []
        self.assumed_s = 0.0
        self.age = timedelta()
        self._limits: dict[RequestKind, RateLimit] = {}

    async def prepare(self) -> None:
        self._check("prepare")

    async def send(self, part: DiscordPart, request_id: str) -> str:
        self._check("send", part)
        assert len(request_id) <= NONCE_CHARACTERS
        if request_id not in self.nonces:
            self.nonces[request_id] = str(time_snowflake(utcnow() - self.age) + len(self.nonces))
            self.parts[self.nonces[request_id]] = part
        return self.nonces[request_id]

    async def edit_message(self, platform_id: str, part: DiscordPart, request_id: str) -> None:
        self._check("edit", part)
        if platform_id not in self.parts:
            raise ReplyFailed("The message with the answer was deleted.")
        self.parts[platform_id] = part

    async def delete_message(self, platform_id: str) -> None:
        self._check("delete")
        self.parts.pop(platform_id, None)

    async def report_refusal(self, platform_ids: Sequence[str], error: ReplyFailed) -> None:
        self.reported.append((list(platform_ids), str(error)))

    async def send_typing(self) -> None:
        self.typings += 1

    def start_typing(self) -> None:
        self.typing.start()

    def stop_typing(self) -> None:
        self.typing.stop()

    async def fetch_posted(self) -> Sequence[str]:
        return list(self.parts)

    def limit_for(self, kind: RequestKind) -> RateLimit:
        return self._limits.setdefault(kind, RateLimit(self.assumed_s, floor_s=0.0))

    def texts(self) -> list[str]:
        """What the channel shows, oldest first."""
        return [part.text for part in self.parts.values()]

    def _check(self, request: str, part: DiscordPart | None = None) -> None:
        self.requests.append(request)
        if self.refuses_with:
            raise ReplyFailed(self.refuses_with)
        if self.failures:
            raise self.failures.pop(0)
        assert part is None or (part.text.strip() and len(part.text) <= CONTENT_CHARACTERS)
