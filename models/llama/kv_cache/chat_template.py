"""Prompts as the model was trained to read them, in its own chat template; no text can pose as a control token."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from jinja2 import TemplateError

from models.engine import EngineFailed, Turn
from models.llama.native.model import LlamaModel

_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# A template is a program from a stranger: what its expressions can raise inside the sandbox.
_TEMPLATE_ERRORS = (TemplateError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
_Messages = list[dict[str, str]]
_Render = Callable[[_Messages], str]


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt as text and as tokens."""

    text: str
    tokens: list[int]


class ChatTemplate:
    """Turns turns into tokens. Every call belongs to the `llama` thread."""

    def __init__(self, model: LlamaModel, thinking: bool) -> None:
        self._model = model
        self._control = _pattern(model.control_texts())
        self._render = _renderer(model, thinking)
        self._merges_system = not _supports_system_role(self._render)

    def render_turns(self, turns: Sequence[Turn]) -> RenderedPrompt:
        """The prompt up to where the model answers. Raises EngineFailed when the template refuses the turns."""
        messages = _messages(turns, self._merges_system, self._escape_control_tokens)
        try:
            text = self._render(messages)
        except _TEMPLATE_ERRORS as error:
            raise EngineFailed(f"The chat template of {self._model.path.name} fails: {error}") from error
        tokens = self._model.tokenize(text, parse_control=True)
        if self._model.adds_bos and tokens[:1] != [self._model.bos_token]:
            tokens.insert(0, self._model.bos_token)
        return RenderedPrompt(text, tokens)

    def _escape_control_tokens(self, text: str) -> str:
        """The text with a space inside whatever reads like a control token: documents and people must not be able to
        end their turn or to speak as the system.
        """
        return self._control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text).strip()


def _pattern(texts: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) if longest_first else r"(?!)")


def _renderer(model: LlamaModel, thinking: bool) -> _Render:
    """The file's own template; ChatML, the most usual one, when the file has none or it is no valid Jinja."""
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    bos, eos = model.token_text(model.bos_token), model.eos_text
    try:
        formatter = Jinja2ChatFormatter(template=model.chat_template or _CHATML, eos_token=eos, bos_token=bos)
    except TemplateError:
        formatter = Jinja2ChatFormatter(template=_CHATML, eos_token=eos, bos_token=bos)

    def render(messages: _Messages) -> str:
        return str(formatter(messages=cast(Any, messages), enable_thinking=thinking).prompt)

    return render


def _supports_system_role(render: _Render) -> bool:
    """Whether the template takes a system turn; some refuse it, some leave it out."""
    try:
        text = render([{"role": "system", "content": "INSTRUCTIONS"}, {"role": "user", "content": "QUESTION"}])
    except _TEMPLATE_ERRORS:
        return False
    return "INSTRUCTIONS" in text


def _messages(turns: Sequence[Turn], folds_system: bool, defused: Callable[[str], str]) -> _Messages:
    """Turns as templates take them: roles alternate, the first after the system's is the user's."""
    messages: _Messages = []
    for turn in turns:
        role = "user" if folds_system and turn.role == "system" else turn.role
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += "\n\n" + defused(turn.text)
        else:
            messages.append({"role": role, "content": defused(turn.text)})
    first = 1 if messages and messages[0]["role"] == "system" else 0
    if len(messages) > first and messages[first]["role"] == "assistant":
        messages.insert(first, {"role": "user", "content": "…"})
    return messages
