"""Transaction ids of a reply's events, so that the homeserver takes each of them once."""

import hashlib


def send_tx_id(event_id: str, number: int) -> str:
    """The id for the first post of a part: the same for the same question and number, in every process."""
    return _hashed("send", event_id, str(number))


def picture_tx_id(event_id: str, number: int) -> str:
    """The id for a picture, the same in every process too."""
    return _hashed("picture", event_id, str(number))


def edit_tx_id(event_id: str, number: int, occasion: str, revision: int) -> str:
    """The id for an edit. `occasion` differs between attempts and processes, whose revisions hold other texts."""
    return _hashed("edit", event_id, str(number), occasion, str(revision))


def redact_tx_id(target: str) -> str:
    """The id for a redaction."""
    return _hashed("redact", target)


def _hashed(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:40]
