"""How fast the model has been lately, and from that how long somebody new would wait."""

import threading
import time

from models.engine import Usage

# Weight of the newest answer in the running means.
_NEWEST = 0.3


class Pace:
    """Counts who waits and averages what answers took; callable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0
        self._began_at: float | None = None
        self._first_token_s = 0.0
        self._answer_s = 0.0

    def asked(self) -> None:
        """Somebody new waits."""
        with self._lock:
            self._waiting += 1

    def began(self) -> None:
        """The first who waits is served now."""
        with self._lock:
            self._waiting -= 1
            self._began_at = time.monotonic()

    def ended(self, usage: Usage | None) -> None:
        """The answer is over; `usage` is None when it was cut short."""
        with self._lock:
            self._began_at = None
            if usage is not None:
                self._first_token_s = _blend(self._first_token_s, usage.prefill_s)
                self._answer_s = _blend(self._answer_s, usage.prefill_s + usage.decode_s)

    def estimate(self) -> float:
        """Seconds until the first token of somebody who came now: the rest of the running answer, a whole one for
        each who waits, and a prefill. 0 before the first answer.
        """
        with self._lock:
            left = 0.0
            if self._began_at is not None:
                left = max(0.0, self._answer_s - (time.monotonic() - self._began_at))
            return left + self._waiting * self._answer_s + self._first_token_s


def _blend(mean: float, newest: float) -> float:
    return newest if mean == 0.0 else mean + _NEWEST * (newest - mean)
