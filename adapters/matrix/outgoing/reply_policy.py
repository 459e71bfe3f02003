"""Matrix's rules for one reply: the account's rate limit, transaction ids, a limited number of edits."""

import secrets
from contextlib import AbstractContextManager

from adapters.delivery.citations import citation_footer
from adapters.delivery.reply_transport import NextRequest, ReplyContent, ReplyPages, ReplyPolicy
from adapters.matrix.limits import MAX_EDITS
from adapters.matrix.outgoing import transactions
from adapters.matrix.outgoing.layout import MatrixPart, matrix_layout
from adapters.matrix.outgoing.rate_limiter import ReplyQuota

MAX_QUEUE_EDITS = 4
"""Edits for changes of the place in the queue: those of a reply are for its answer."""


class MatrixReplyPolicy(ReplyPolicy[MatrixPart]):
    """Sends within the reply's quota, from its opening to its end."""

    sends_answer_anew = True

    def __init__(self, quota: ReplyQuota) -> None:
        self._quota = quota
        self._layout = matrix_layout()
        self._occasion = secrets.token_hex(4)

    def lay_out(self, content: ReplyContent) -> ReplyPages[MatrixPart]:
        """The messages for a content, and the pictures after them."""
        small = content.has_small_print
        below = citation_footer(content.note, content.sources) if small else content.note
        is_text = content.stage != "queued"  # a place in the queue mentions nobody: the answer will
        messages = [
            MatrixPart(page.text, page.below, small, content.is_notice, first=is_text and number == 0)
            for number, page in enumerate(self._layout.split_pages(content.text, below))
        ]
        return ReplyPages(messages, [MatrixPart("", picture=picture) for picture in content.pictures])

    def request_id(self, event_id: str, request: NextRequest[MatrixPart], revision: int) -> str:
        """The transaction id of an event."""
        if request.kind == "edit":
            return transactions.edit_tx_id(event_id, request.number, self._occasion, revision)
        make_id = transactions.picture_tx_id if request.kind == "picture" else transactions.send_tx_id
        return make_id(event_id, request.number)

    def permit_for(self, request: NextRequest[MatrixPart]) -> ReplyQuota:
        """The account's rate limit, in which first texts come before edits, and places in the queue are first texts."""
        return self._quota.as_kind("first" if request.kind == "send" and request.number <= 0 else "edit")

    def may_edit(self, platform_id: str, content: ReplyContent, edits: int) -> bool:
        """While edits are left, few of them for the place in the queue."""
        return edits < (MAX_QUEUE_EDITS if content.stage == "queued" else MAX_EDITS)

    def track_request(self) -> AbstractContextManager[None]:
        """The quota's context, which learns the homeserver's limits."""
        return self._quota.track_request()

    def open(self) -> None:
        """Reserve an event for the final text."""
        self._quota.open()

    def close(self) -> None:
        """Release it."""
        self._quota.close()
