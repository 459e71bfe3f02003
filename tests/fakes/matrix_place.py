"""A room on Matrix in memory, as the place of answers: it remembers transactions, and fails when it is told to."""

from collections.abc import Sequence

from adapters.matrix.homeserver import TransientFailure
from adapters.matrix.outgoing.reply_transport import ReplyPart
from bot.core.errors import ReplyFailed
from bot.core.messages import Attachment


class MemoryRoom:
    """Fills `Place`. `parts` is what the room shows, by id; `requests` what was asked, in order; `begins` and `rests`
    count how often typing was begun and ended. The next requests fail with what is in `failures`; those in `losses`
    fail after they were taken.
    """

    def __init__(self) -> None:
        self.parts: dict[str, ReplyPart] = {}
        self.pictures: dict[str, Attachment] = {}
        self.transactions: dict[str, str] = {}
        self.requests: list[str] = []
        self.history: list[str] = []
        self.begins = self.rests = 0
        self.refuses_with = ""
        self.failures: list[TransientFailure] = []
        self.losses: list[TransientFailure] = []

    def start_typing(self) -> None:
        self.begins += 1

    def stop_typing(self) -> None:
        self.rests += 1

    async def send(self, part: ReplyPart, tx_id: str) -> str:
        self._arrives("send")
        if tx_id not in self.transactions:
            self.transactions[tx_id] = f"$event{len(self.transactions)}"
            self._put(self.transactions[tx_id], part)
        self._leaves()
        return self.transactions[tx_id]

    async def edit_message(self, event_id: str, part: ReplyPart, tx_id: str) -> None:
        self._arrives("edit")
        if tx_id not in self.transactions:
            self.transactions[tx_id] = event_id
            self._put(event_id, part)
        self._leaves()

    async def redact_message(self, event_id: str, tx_id: str) -> None:
        self._arrives("redact")
        self.parts.pop(event_id, None)
        self._leaves()

    async def send_picture(self, picture: Attachment, tx_id: str) -> None:
        self._arrives("show")
        self.pictures[tx_id] = picture
        self._leaves()

    async def fetch_posted(self) -> Sequence[str]:
        self._arrives("answers")
        return list(self.parts)

    def texts(self) -> list[str]:
        """What the room shows, oldest first."""
        return ["\n\n".join(said for said in (part.text, part.below) if said) for part in self.parts.values()]

    def _put(self, event_id: str, part: ReplyPart) -> None:
        assert part.text.strip() or part.below.strip()
        self.parts[event_id] = part
        self.history.append(part.text)

    def _arrives(self, request: str) -> None:
        self.requests.append(request)
        if self.refuses_with:
            raise ReplyFailed(self.refuses_with)
        if self.failures:
            raise self.failures.pop(0)

    def _leaves(self) -> None:
        if self.losses:
            raise self.losses.pop(0)
