"""Kinds, paths and sizes of to-device messages."""

import secrets

from adapters.matrix.api.http import api_path

ENCRYPTED = "m.room.encrypted"
WITHHELD = "m.room_key.withheld"
DEVICES_PER_REQUEST = 100
"""Devices per request: about 100 KB of room keys."""


def to_device_path(kind: str) -> str:
    """The path for a to-device message, with a new transaction id each time, since none is sent twice."""
    return "/v3" + api_path("sendToDevice", kind, secrets.token_urlsafe(16))
