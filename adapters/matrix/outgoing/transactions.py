"""The ids of what a reply sends, by which the homeserver takes each of it once."""

import hashlib


def send_tx_id(event_id: str, number: int) -> str:
    """For the first post of a part: the same for the same question and number, in every process."""
    return _hashed("send", event_id, str(number))


def picture_tx_id(event_id: str, number: int) -> str:
    """For a picture, likewise."""
    return _hashed("picture", event_id, str(number))


def edit_tx_id(event_id: str, number: int, occasion: str, revision: int) -> str:
    """For an edit. `occasion` tells attempts and processes apart: the same revision of another says something else."""
    return _hashed("edit", event_id, str(number), occasion, str(revision))


def redact_tx_id(target: str) -> str:
    """For taking a message back."""
    return _hashed("redact", target)


def _hashed(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:40]
