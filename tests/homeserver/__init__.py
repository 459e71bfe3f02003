"""A proxy between a program and a homeserver, which sees what passes and breaks it."""

from tests.homeserver.capture import Capture, Request

__all__ = ["Capture", "Request"]
