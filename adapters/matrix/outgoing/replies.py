"""Replies to messages on Matrix: built from the message alone, ended when Hearth stops."""

from collections.abc import Callable

from adapters.delivery.reply_factory import ReplyFactory
from adapters.matrix.background_tasks import BackgroundTasks
from adapters.matrix.events import Room
from adapters.matrix.homeserver import Homeserver
from adapters.matrix.outgoing.contents import RoomTarget
from adapters.matrix.outgoing.interrupted_answers import InterruptedAnswers
from adapters.matrix.outgoing.layout import MatrixPart
from adapters.matrix.outgoing.rate_limiter import ReplyQuota, SendRateLimiter
from adapters.matrix.outgoing.reply_policy import MatrixReplyPolicy
from adapters.matrix.outgoing.room_transport import RoomTransport
from adapters.matrix.outgoing.typing_indicator import TypingIndicators
from bot.core.messages import Audience, Message
from bot.core.texts import Language


class MatrixReplyFactory(ReplyFactory[MatrixPart]):
    """The replies of one account."""

    def __init__(
        self,
        homeserver: Homeserver,
        rate_limiter: SendRateLimiter,
        audience_of: Callable[[Room, str], Audience] | None = None,
        language: Language = "en",
    ) -> None:
        """`audience_of` gives the readers of an answer in a room, by the room and the user who asked. `language` is for
        text outside any conversation.
        """
        super().__init__()
        self._audience_of = audience_of
        self._homeserver = homeserver
        self._rate_limiter = rate_limiter
        self._typing = TypingIndicators(homeserver)
        self._background = BackgroundTasks()
        self._interrupted = InterruptedAnswers(homeserver, rate_limiter, language)

    async def close(self) -> None:
        """Stop updates of all replies."""
        await super().close()
        await self._typing.close()
        await self._background.close()

    def end_interrupted(self, room_id: str) -> None:
        """End the answers that a room refused in the middle, in the background: it takes messages again."""
        self._background.start(self._interrupted.end(room_id), f"Ending interrupted answers in {room_id}")

    def _connect(self, message: Message) -> tuple[RoomTransport, MatrixReplyPolicy]:
        target = RoomTarget.from_message(message)
        transport = RoomTransport(
            self._homeserver,
            target,
            self._typing,
            self._background,
            interrupted=self._interrupted,
            audience_of=self._audience_of,
        )
        return transport, MatrixReplyPolicy(ReplyQuota(self._rate_limiter))
