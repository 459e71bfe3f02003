"""A room on Matrix in memory, as the transport of a reply: it remembers transactions, and fails on demand."""

from collections.abc import Sequence

from adapters.delivery.errors import TransientFailure
from adapters.matrix.outgoing.layout import MatrixPart
from bot.core.errors import ReplyFailed
from bot.core.messages import Attachment


class MemoryRoom:
    """Fills `ReplyTransport`. `parts` is what the room shows, by id; `requests` the requests in order; `begins` and
    `rests` count how often typing was begun and ended. The next requests fail with the errors in `failures`, or, after
    they were taken, with those in `losses`.
    """

    def __init__(self) -> None:
        self.parts: dict[str, MatrixPart] = {}
        self.pictures: dict[str, Attachment] = {}
        self.transactions: dict[str, str] = {}
        self.requests: list[str] = []
        self.history: list[str] = []
        self.begins = self.rests = 0
        self.refuses_with = ""
        self.failures: list[TransientFailure] = []
        self.losses: list[TransientFailure] = []

    async def prepare(self) -> None:
        """Nothing to prepare."""

    async def report_refusal(self, platform_ids: Sequence[str], error: ReplyFailed) -> None:
        pass

    def start_typing(self) -> None:
        self.begins += 1

    def stop_typing(self) -> None:
        self.rests += 1

    async def send(self, part: MatrixPart, request_id: str) -> str:
        if part.picture is not None:
            self._arrives("show")
            self.pictures[request_id] = part.picture
            self._leaves()
            return request_id
        self._arrives("send")
        if request_id not in self.transactions:
            self.transactions[request_id] = f"$event{len(self.transactions)}"
            self._put(self.transactions[request_id], part)
        self._leaves()
        return self.transactions[request_id]

    async def edit_message(self, platform_id: str, part: MatrixPart, request_id: str) -> None:
        self._arrives("edit")
        if request_id not in self.transactions:
            self.transactions[request_id] = platform_id
            self._put(platform_id, part)
        self._leaves()

    async def delete_message(self, platform_id: str) -> None:
        self._arrives("redact")
        self.parts.pop(platform_id, None)
        self._leaves()

    async def fetch_posted(self) -> Sequence[str]:
        self._arrives("answers")
        return list(self.parts)

    def texts(self) -> list[str]:
        """What the room shows, oldest first."""
        return ["\n\n".join(said for said in (part.text, part.below) if said) for part in self.parts.values()]

    def _put(self, event_id: str, part: MatrixPart) -> None:
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
