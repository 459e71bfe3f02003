"""Messages of requests as turns of a prompt."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from bot.openai.errors import RequestError
from bot.openai.tools import MessageCall
from models.engine import Role, Turn

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_TEXT_PARTS = ("text", "input_text", "output_text", "refusal")


class TextPart(BaseModel):
    """A content part of a message."""

    type: str
    text: str | None = None
    refusal: str | None = None


class ChatMessage(BaseModel):
    """A message of the conversation."""

    role: str
    content: str | list[TextPart] | None = None
    tool_calls: list[MessageCall] | None = None
    tool_call_id: str | None = None


def to_turns(messages: Sequence[ChatMessage]) -> tuple[Turn, ...]:
    """The conversation as turns; the last one is a user's, or the result of a tool.

    Raises RequestError for other conversations, and for results of calls that nobody made.
    """
    turns = tuple(_to_turn(message, f"messages[{number}]") for number, message in enumerate(messages))
    _require_calls(turns)
    spoken = [turn for turn in turns if turn.role != "system"]
    if not spoken or spoken[-1].role == "assistant":
        sentence = "The last message must be a user's, or the result of a tool: it is what is answered."
        raise RequestError(400, sentence, "messages")
    return turns


def split_reply_start(
    messages: Sequence[ChatMessage], continues: bool | None, adds: bool | None
) -> tuple[Sequence[ChatMessage], str]:
    """The messages before the beginning of the answer, and that beginning: a last message of the assistant's.

    `continues` is vLLM's `continue_final_message`, `adds` is `add_generation_prompt`; both say whether the last message
    is such a beginning. Raises RequestError when they contradict each other or the messages.
    """
    last = messages[-1]
    if continues is not None and continues == adds:
        sentence = "continue_final_message and add_generation_prompt contradict each other: leave one out."
        raise RequestError(400, sentence, "continue_final_message")
    is_wanted = continues if continues is not None else None if adds is None else not adds
    may_begin = last.role == "assistant" and not last.tool_calls
    if is_wanted and not may_begin:
        param = "add_generation_prompt" if continues is None else "continue_final_message"
        raise RequestError(400, f"With {param} the last message must be text of the assistant's.", param)
    if not may_begin or is_wanted is False:
        return messages, ""
    return messages[:-1], _text_of(last, f"messages[{len(messages) - 1}]")


def _to_turn(message: ChatMessage, param: str) -> Turn:
    role = ROLES.get(message.role)
    if role is None:
        raise RequestError(400, f"The role {message.role[:40]!r} is not known here.", f"{param}.role")
    text = _text_of(message, param)
    if role == "tool":
        if not message.tool_call_id:
            raise RequestError(400, "The result of a tool needs the id of its call.", f"{param}.tool_call_id")
        return Turn("tool", text, call_id=message.tool_call_id)
    calls = tuple(call.to_call() for call in message.tool_calls or ()) if role == "assistant" else ()
    return Turn(role, text, calls)


def _text_of(message: ChatMessage, param: str) -> str:
    if isinstance(message.content, str) or message.content is None:
        return message.content or ""
    other = next((part.type for part in message.content if part.type not in _TEXT_PARTS), None)
    if other is not None:
        raise RequestError(400, f"This model reads text only, no {other[:40]!r}.", f"{param}.content")
    return "\n".join(part.text or part.refusal or "" for part in message.content)


def _require_calls(turns: Sequence[Turn]) -> None:
    made: set[str] = set()
    for number, turn in enumerate(turns):
        made.update(call.id for call in turn.calls)
        if turn.role == "tool" and turn.call_id not in made:
            sentence = f"No call before has the id {turn.call_id[:64]!r}."
            raise RequestError(400, sentence, f"messages[{number}].tool_call_id")
