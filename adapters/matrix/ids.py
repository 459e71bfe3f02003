"""Core ids of Matrix's rooms, threads and people."""

from adapters.platform import NameForm
from bot.core.messages import Audience, ConversationId

PLATFORM = "matrix"
USER_ID = r"@[^:\s]*:\S+"
"""A user id: `@`, a local part, which old accounts may have empty, a colon and the server."""
SERVER = r"[^@!#:\s][^@!#\s]*"
READER_FORMS = (
    # Since room version 12 a room's id has no server.
    NameForm("", r"!\S+", "matrix:!kitchen:example.org"),
    NameForm("user:", USER_ID, "matrix:user:@ana:example.org"),
    NameForm("server:", SERVER, "matrix:server:example.org"),
)
PERSON_FORMS = (NameForm("", USER_ID, "matrix:@ana:example.org"),)


def conversation_id(room_id: str, thread_root: str = "") -> ConversationId:
    """The conversation of a room, or of a thread in it."""
    return ConversationId(f"{PLATFORM}:{room_id}#{thread_root}" if thread_root else f"{PLATFORM}:{room_id}")


def person_id(user_id: str) -> str:
    """A person's id in the core."""
    return f"{PLATFORM}:{user_id}"


def room_audience(room_id: str) -> Audience:
    """The readers of a room and of its threads."""
    return Audience(frozenset({str(conversation_id(room_id))}))


def private_audience(room_id: str, user_id: str) -> Audience:
    """One person in a direct chat."""
    names = {str(conversation_id(room_id)), f"{PLATFORM}:user:{user_id}", f"{PLATFORM}:server:{server_name(user_id)}"}
    return Audience(frozenset(names), private=True)


def server_name(user_id: str) -> str:
    """The server of a user's account."""
    return user_id.partition(":")[2]
