"""Chat templates in Jinja, rendered in a sandbox as Transformers does."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from jinja2 import BaseLoader, Environment, TemplateError, meta
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.engine import ReasoningEffort
from models.llama.kv_cache.template_clock import TemplateClock

Message = dict[str, Any]

# A template is untrusted code: these are the errors that its expressions can raise inside the sandbox.
TEMPLATE_ERRORS = (TemplateError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)

# The names that templates have for an effort, the best match first.
_EFFORT_NAMES: Mapping[ReasoningEffort, Sequence[str]] = {
    "none": ("none", "low", "high"),
    "low": ("low", "medium", "high"),
    "medium": ("medium", "high", "low"),
    "high": ("high", "medium", "low"),
}

# As Transformers passes it, and for templates that go through the list without a look.
_WITHOUT_TOOLS: Sequence[Mapping[str, Any]] = (
    {"tools": None},
    {},
    {"tools": []},
    {"tools": [], "functions": []},
    {"tools": [], "functions": "", "datetime": ""},  # Firefunction
)


class JinjaTemplate:
    """A compiled template. Tools are passed as the template can take their absence."""

    def __init__(self, text: str, bos_text: str, eos_text: str, arguments: Mapping[str, Any]) -> None:
        """`arguments` are further variables of the template. Raises TemplateError when the text is no Jinja."""
        environment = _environment()
        self.text = text
        self.unused_arguments = sorted(set(arguments) - meta.find_undeclared_variables(environment.parse(text)))
        self._template = environment.from_string(text)
        self._names_none = any(quoted in text for quoted in ("'none'", '"none"'))
        self.clock = TemplateClock()
        self._variables = {
            "bos_token": bos_text,
            "eos_token": eos_text,
            "add_generation_prompt": True,
            "raise_exception": _raise_exception,
            "strftime_now": self.clock.strftime_now,
        }
        self._arguments = dict(arguments)
        self._without_tools = _WITHOUT_TOOLS[0]
        self._effort_names: dict[ReasoningEffort, str] = {}

    def render(
        self,
        messages: Sequence[Message],
        is_thinking: bool,
        effort: ReasoningEffort | None,
        tools: Sequence[Message] = (),
    ) -> str:
        """The prompt up to the start of the reply. Raises one of TEMPLATE_ERRORS when the template rejects it."""
        variables: dict[str, Any] = {"enable_thinking": is_thinking, "thinking": is_thinking}
        if effort is not None and effort in self._effort_names:
            variables["reasoning_effort"] = self._effort_names[effort]
        variables |= {"tools": list(tools)} if tools else self._without_tools
        return str(self._template.render(messages=list(messages), **self._variables, **(variables | self._arguments)))

    def adapt(self, messages: Sequence[Message]) -> None:
        """Find out how the template takes the absence of tools, and by which names it knows efforts; it may raise for
        others. Raises as `render` when it rejects the messages in any case.
        """
        for without_tools in _WITHOUT_TOOLS:
            self._without_tools = without_tools
            if self._renders(messages, None):
                break
        else:
            self.render(messages, False, None)
        if "reasoning_effort" in self.text and "reasoning_effort" not in self._arguments:
            for effort, names in _EFFORT_NAMES.items():
                self._adapt_effort(effort, names, messages)

    def _adapt_effort(self, effort: ReasoningEffort, names: Sequence[str], messages: Sequence[Message]) -> None:
        for name in names:
            if name == "none" and not self._names_none:
                continue
            self._effort_names[effort] = name
            if self._renders(messages, effort):
                return
        self._effort_names.pop(effort, None)

    def _renders(self, messages: Sequence[Message], effort: ReasoningEffort | None) -> bool:
        try:
            self.render(messages, effort not in (None, "none"), effort)
        except TEMPLATE_ERRORS:
            return False
        return True


def _environment() -> Environment:
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    environment = ImmutableSandboxedEnvironment(
        loader=BaseLoader(),
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Jinja2ChatFormatter.IgnoreGenerationTags, loopcontrols],
    )
    environment.filters["tojson"] = Jinja2ChatFormatter.tojson
    return environment


def _raise_exception(message: str) -> None:
    raise ValueError(message)


class Render(Protocol):
    """A template's `render`."""

    def __call__(
        self,
        messages: Sequence[Message],
        is_thinking: bool,
        effort: ReasoningEffort | None,
        tools: Sequence[Message] = (),
    ) -> str:
        """The prompt up to the start of the reply. Raises one of TEMPLATE_ERRORS when the template rejects it."""
        ...
