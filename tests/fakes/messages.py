"""Messages and observers for tests of the core."""

from bot.core.messages import Attachment, Audience, ConversationId, Message, Person, Timings
from bot.core.observe import Outcome


def message(
    text: str,
    event_id: str = "1",
    *,
    author: str = "ana",
    conversation: str = "console:room",
    admin: bool = False,
    private: bool = True,
    attachments: tuple[Attachment, ...] = (),
    names: frozenset[str] | None = None,
) -> Message:
    """A message as the console adapter would make it."""
    return Message(
        conversation=ConversationId(conversation),
        event_id=event_id,
        author=Person(author, author.title(), is_admin=admin),
        text=text,
        addressed=True,
        audience=Audience(frozenset({"console", conversation}) if names is None else names, private),
        sent_at=1_700_000_000.0,
        attachments=attachments,
        platform_data={"thread": "7"},
    )


class RecordingObserver:
    """Fills `Observer`: keeps what it was told."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.failures: list[str] = []
        self.lengths: list[tuple[int, int]] = []

    def queue_changed(self, waiting: int, running: int) -> None:
        self.lengths.append((waiting, running))

    def search_ended(self, took_s: float, hits: int) -> None:
        pass

    def answer_ended(self, outcome: Outcome, timings: Timings) -> None:
        self.outcomes.append(outcome)

    def error_reported(self, kind: str) -> None:
        self.failures.append(kind)
