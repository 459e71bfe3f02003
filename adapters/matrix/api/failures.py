"""Sentences for a homeserver's refusals, for the log and for the admin."""

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.matrix.homeserver import LoggedOut, MatrixUnusable, RequestRefused
from bot.core.errors import ReplyFailed

UNKNOWN_ROOM = "HEARTH_UNKNOWN_ROOM"
CODE_SENTENCES = {
    UNKNOWN_ROOM: (
        "Hearth is not in this room, or the homeserver has not reported it yet, so it is not known whether it is"
        " encrypted."
    ),
    "HEARTH_NO_ADDRESS": "This is not the address of a file in the media store.",
    "M_FORBIDDEN": "Hearth may not do this in the room: it was removed or banned, or its power level is too low.",
    "M_GUEST_ACCESS_FORBIDDEN": "Guests may not do this; Hearth needs an account.",
    "M_INCOMPATIBLE_ROOM_VERSION": "The homeserver does not know the version of this room.",
    "M_LIMIT_EXCEEDED": "The homeserver asks to wait; an admin of it can lift the limit for Hearth's account.",
    "M_NOT_FOUND": "The room or the message does not exist any more, or Hearth may not see it.",
    "M_RESOURCE_LIMIT_EXCEEDED": "The homeserver has reached a limit on its accounts or its space.",
    "M_TOO_LARGE": "The message or the file is larger than the homeserver allows.",
    "M_UNSUPPORTED_ROOM_VERSION": "The homeserver does not know the version of this room.",
    "M_USER_DEACTIVATED": "Hearth's account is deactivated.",
    "M_USER_LOCKED": "Hearth's account is locked by an admin of the homeserver.",
    "M_USER_SUSPENDED": "Hearth's account is suspended by an admin of the homeserver.",
}
"""Sentences by error code (client-server API, "Standard error response")."""

ACCOUNT_CODES = frozenset({"M_USER_DEACTIVATED", "M_USER_LOCKED", "M_USER_SUSPENDED"})
"""Codes that concern the account, not one request."""


def error_sentence(error: RequestRefused) -> str:
    """The reason for a refusal, for the log."""
    code = error.code if error.code.replace("_", "").replace(".", "").isalnum() else ""
    return CODE_SENTENCES.get(code, f"The homeserver refused with status {error.status}, {code[:60] or 'no code'}.")


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise ReplyFailed for permanent refusals of the homeserver."""
    try:
        yield
    except RequestRefused as error:
        raise ReplyFailed(error_sentence(error)) from error


def as_admin_error(error: Exception) -> Exception:
    """The error as a sentence for the admin if only an admin can fix it, else unchanged."""
    if isinstance(error, LoggedOut) and error.soft:
        return MatrixUnusable(
            "The homeserver asks Hearth to log in again (soft logout): its access token has expired. Run `hearth matrix"
            " login --again`; the device and its keys stay."
        )
    if isinstance(error, LoggedOut):
        return MatrixUnusable(
            "The homeserver no longer knows Hearth's access token: the device was logged out. Run"
            " `hearth matrix login --again`: it makes a new device, which keeps the account's identity. Messages sent"
            " only to the old device stay unreadable."
        )
    if isinstance(error, RequestRefused) and error.code in ACCOUNT_CODES:
        return MatrixUnusable(f"{error_sentence(error)} Ask an admin of the homeserver.")
    return error
