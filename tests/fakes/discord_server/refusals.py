"""Discord's refusals: status, code and sentence (topics/opcodes-and-status-codes.mdx)."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Refused(Exception):
    """The answer to a request that Discord does not take."""

    status: int
    code: int
    message: str
    extra: dict[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        return {"message": self.message, "code": self.code, **self.extra}


def unauthorized() -> Refused:
    return Refused(401, 0, "401: Unauthorized")


def unknown_channel() -> Refused:
    return Refused(404, 10003, "Unknown Channel")


def unknown_guild() -> Refused:
    return Refused(404, 10004, "Unknown Guild")


def unknown_member() -> Refused:
    return Refused(404, 10007, "Unknown Member")


def unknown_message() -> Refused:
    return Refused(404, 10008, "Unknown Message")


def unknown_user() -> Refused:
    return Refused(404, 10013, "Unknown User")


def unknown_webhook() -> Refused:
    return Refused(404, 10015, "Unknown Webhook")


def unknown_interaction() -> Refused:
    return Refused(404, 10062, "Unknown interaction")


def unknown_command() -> Refused:
    return Refused(404, 10063, "Unknown application command")


def daily_command_limit() -> Refused:
    return Refused(400, 30034, "Max number of daily application command creates has been reached (200)")


def too_many_old_edits(retry_after_s: float) -> Refused:
    # A 429 with a code of its own, and without the rate-limit headers of a bucket.
    sentence = "Maximum number of edits to messages older than 1 hour reached. Try again later."
    return Refused(429, 30046, sentence, {"retry_after": retry_after_s, "global": False})


def too_large() -> Refused:
    return Refused(413, 40005, "Request entity too large")


def already_acknowledged() -> Refused:
    return Refused(400, 40060, "Interaction has already been acknowledged.")


def missing_access() -> Refused:
    return Refused(403, 50001, "Missing Access")


def others_message() -> Refused:
    return Refused(403, 50005, "Cannot edit a message authored by another user")


def empty_message() -> Refused:
    return Refused(400, 50006, "Cannot send an empty message")


def closed_to_you() -> Refused:
    return Refused(403, 50007, "Cannot send messages to this user")


def missing_permissions() -> Refused:
    return Refused(403, 50013, "Missing Permissions")


def expired_token() -> Refused:
    return Refused(401, 50027, "Invalid Webhook Token")


def invalid_form(*faults: str) -> Refused:
    errors = {"_errors": [{"code": "BASE_TYPE_INVALID", "message": fault} for fault in faults]}
    return Refused(400, 50035, "Invalid Form Body", {"errors": {"body": errors}})


def archived_thread() -> Refused:
    return Refused(400, 50083, "Thread is archived")


def thread_locked() -> Refused:
    return Refused(403, 160005, "Thread is locked")


def automod_blocked() -> Refused:
    return Refused(400, 200000, "Message was blocked by automatic moderation")


def thread_exists() -> Refused:
    return Refused(400, 160004, "A thread has already been created for this message")
