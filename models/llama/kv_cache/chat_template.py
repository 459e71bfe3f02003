"""Chat templates: turns rendered and tokenized as the model was trained; no text can pose as a control token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from jinja2 import TemplateError

from models.engine import EngineFailed, Turn
from models.llama.kv_cache.template_clock import TemplateClock
from models.llama.native.control_texts import ControlTextFinder
from models.llama.native.model import LlamaModel

_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# A template is untrusted code: these are the errors that its expressions can raise inside the sandbox.
_TEMPLATE_ERRORS = (TemplateError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
_Messages = list[dict[str, str]]
_Render = Callable[[_Messages], str]


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt as text and as tokens."""

    text: str
    tokens: list[int]


class ChatTemplate:
    """Renders and tokenizes turns. Used on the inference thread only."""

    def __init__(self, model: LlamaModel, thinking: bool) -> None:
        self._model = model
        # The fallback's delimiters are no tokens of every vocabulary, and delimit turns all the same.
        self._control = ControlTextFinder([*model.control_texts(), "<|im_start|>", "<|im_end|>"])
        self.clock = TemplateClock()
        """What the template's dates come from."""
        self._render = _make_renderer(model, thinking, self.clock)
        self._merges_system = not _supports_system_role(self._render)

    def render_turns(self, turns: Sequence[Turn]) -> RenderedPrompt:
        """The prompt up to the start of the reply. Raises EngineFailed when the template rejects the turns."""
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
        """The text with a space inside everything that reads like a control token: documents and users must not be able
        to end their turn or to speak as the system.
        """
        return self._control.break_up(text).strip()


def _make_renderer(model: LlamaModel, thinking: bool, clock: TemplateClock) -> _Render:
    """The template in the model file; ChatML, the most common one, when there is none or it is not valid Jinja."""
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    bos, eos = model.token_text(model.bos_token), model.eos_text
    try:
        formatter = Jinja2ChatFormatter(template=model.chat_template or _CHATML, eos_token=eos, bos_token=bos)
    except TemplateError:
        formatter = Jinja2ChatFormatter(template=_CHATML, eos_token=eos, bos_token=bos)
    formatter.strftime_now = clock.strftime_now  # type: ignore[method-assign,assignment]

    def render(messages: _Messages) -> str:
        return str(formatter(messages=cast(Any, messages), enable_thinking=thinking).prompt)

    return render


def _supports_system_role(render: _Render) -> bool:
    """Whether the template renders a system turn; some reject it, some omit it."""
    try:
        text = render([{"role": "system", "content": "INSTRUCTIONS"}, {"role": "user", "content": "QUESTION"}])
    except _TEMPLATE_ERRORS:
        return False
    return "INSTRUCTIONS" in text


def _messages(turns: Sequence[Turn], merge_system: bool, escape: Callable[[str], str]) -> _Messages:
    """Turns as templates expect them: roles alternate, and the first one after the system turn is a user's."""
    messages: _Messages = []
    for turn in turns:
        role = "user" if merge_system and turn.role == "system" else turn.role
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += "\n\n" + escape(turn.text)
        else:
            messages.append({"role": role, "content": escape(turn.text)})
    first = 1 if messages and messages[0]["role"] == "system" else 0
    if len(messages) > first and messages[first]["role"] == "assistant":
        messages.insert(first, {"role": "user", "content": "…"})
    return messages
