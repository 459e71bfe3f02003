"""Paths of to-device messages."""

import secrets

from adapters.matrix.api.http import api_path

ENCRYPTED = "m.room.encrypted"
WITHHELD = "m.room_key.withheld"


def to_device_path(kind: str) -> str:
    """The path for a to-device message, with a new transaction id each time, since none is sent twice."""
    return "/v3" + api_path("sendToDevice", kind, secrets.token_urlsafe(16))
