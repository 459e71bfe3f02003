"""Chat templates: turns rendered and tokenized as the model was trained; no text can pose as a control token."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from models.engine import EngineFailed, Prompt, ReasoningEffort, Turn
from models.llama.kv_cache.jinja_template import TEMPLATE_ERRORS, Message
from models.llama.kv_cache.template_choice import choose_template
from models.llama.kv_cache.template_marks import find_template_marks
from models.llama.kv_cache.tool_messages import ToolForm, find_tool_form, instructions_of, message_of, tool_objects
from models.llama.native.control_texts import ControlTextFinder
from models.llama.native.model import LlamaModel
from models.llama.settings import LlamaSettings
from models.thinking_marks import CHANNEL, HARMONY_ANSWER, MESSAGE_START
from models.tool_calls import Toolbox


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt as text and as tokens."""

    text: str
    tokens: list[int]


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What a template renders besides the turns."""

    reasoning_effort: ReasoningEffort | None = None
    toolbox: Toolbox | None = None

    @classmethod
    def of_prompt(cls, prompt: Prompt) -> "RenderOptions":
        """The options of a prompt. A model does not think where its answer has begun, or must be a call."""
        has_begun = prompt.reply_start or (prompt.toolbox is not None and prompt.toolbox.choice == "required")
        return cls("none" if has_begun else prompt.reasoning_effort, prompt.toolbox)


_PLAIN = RenderOptions()


class ChatTemplate:
    """Renders and tokenizes turns. Used on the inference thread only."""

    def __init__(self, model: LlamaModel, settings: LlamaSettings) -> None:
        """Raises ModelUnusable when the template renders no question."""
        chosen = choose_template(model, settings)
        model.use_template(chosen.text)
        marks, labels = find_template_marks(chosen.render, chosen.takes_system)
        self._model = model
        self._render = chosen.render
        self.clock = chosen.clock
        """What the template's dates come from."""
        self._takes_system = chosen.takes_system
        self._is_thinking = settings.thinking
        self._control = ControlTextFinder([*model.control_texts(), *marks])
        self._labels = labels
        self.description = chosen.description
        """Where the template is from, for people."""
        closes_thinking = any(closing in model.special_tokens for closing in model.thinking_marks.closings)
        self.may_think_silently = closes_thinking and not model.thinking_marks.are_named_in(chosen.text)
        """Whether the model thinks under a template that does not say so: its reply may begin inside the thinking."""
        self._template_text = chosen.text

    @cached_property
    def tool_form(self) -> ToolForm:
        """How the template takes tools, and how the model writes calls."""
        return find_tool_form(self._template_text, self._render)

    def render_turns(
        self, turns: Sequence[Turn], options: RenderOptions = _PLAIN, reply_start: str = ""
    ) -> RenderedPrompt:
        """The prompt up to the start of the reply, and the reply as far as it has begun.

        Raises EngineFailed when the template rejects the turns.
        """
        tools: Sequence[Message] = ()
        if (toolbox := options.toolbox) is not None and self.tool_form.is_rendered:
            tools = tool_objects(toolbox.tools, self._escape_inside)
        elif toolbox is not None:
            turns = _with_instructions(turns, instructions_of(toolbox, self._escape_inside))
        messages = self._messages(turns)
        effort = options.reasoning_effort
        is_thinking = self._is_thinking if effort is None else effort != "none"
        if effort is None and not is_thinking:
            effort = "none"
        try:
            text = self._render(messages, is_thinking, effort, tools)
        except TEMPLATE_ERRORS as error:
            raise EngineFailed(f"The chat template of {self._model.name} fails: {error}") from error
        if not is_thinking:
            text = self._close_thinking(text)
        if reply_start:
            text += (HARMONY_ANSWER if text.endswith(MESSAGE_START) else "") + self._escape_inside(reply_start)
        tokens = self._model.tokenize(text, parse_control=True)
        if self._model.adds_bos and tokens[:1] != [self._model.bos_token]:
            tokens.insert(0, self._model.bos_token)
        return RenderedPrompt(text, tokens)

    def _close_thinking(self, text: str) -> str:
        """The prompt with empty thinking where a template opens it although it is turned off."""
        marks = self._model.thinking_marks
        mark = marks.opened_by(text[-64:])
        if mark is None or mark == CHANNEL:
            return text
        return f"{text.rstrip()}\n\n{marks.pairs[mark]}\n\n"

    def _escape_control_tokens(self, text: str) -> str:
        """The text with a space inside everything that reads like a control token: documents and users must not be able
        to end their turn or to speak as the system.
        """
        return self._escape_inside(text).strip()

    def _escape_inside(self, text: str) -> str:
        return self._control.break_up(self._labels.break_up(text))

    def _messages(self, turns: Sequence[Turn]) -> list[Message]:
        """Turns as templates expect them: roles alternate, and the first one after the system turn is a user's. Calls
        and results stand alone.
        """
        messages: list[Message] = []
        for turn in turns:
            role = "user" if turn.role == "system" and not self._takes_system else turn.role
            if turn.role == "tool" or turn.calls:
                message = message_of(turn, self.tool_form, turns, self._escape_control_tokens)
            else:
                message = {"role": role, "content": self._escape_control_tokens(turn.text)}
            if messages and _may_join(messages[-1], message):
                messages[-1]["content"] += "\n\n" + message["content"]
            else:
                messages.append(message)
        first = 1 if messages and messages[0]["role"] == "system" else 0
        if len(messages) > first and messages[first]["role"] == "assistant":
            messages.insert(first, {"role": "user", "content": "…"})
        return messages


def _may_join(first: Message, second: Message) -> bool:
    """Whether two neighbours are one message: of the same role, and plain text."""
    return first.keys() == second.keys() == {"role", "content"} and first["role"] == second["role"]


def _with_instructions(turns: Sequence[Turn], instructions: str) -> list[Turn]:
    """Turns whose system turn ends in these instructions."""
    if turns and turns[0].role == "system":
        return [Turn("system", f"{turns[0].text}\n\n{instructions}"), *turns[1:]]
    return [Turn("system", instructions), *turns]
