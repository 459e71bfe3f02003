"""Choice of a model's chat template: the configured one, the file's own, or one that llama.cpp knows."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from models.engine import ModelUnusable
from models.llama.kv_cache.builtin_template import BuiltinTemplate, builtin_families, family_of_vocabulary
from models.llama.kv_cache.jinja_template import TEMPLATE_ERRORS, JinjaTemplate, Message, Render
from models.llama.kv_cache.template_clock import TemplateClock
from models.llama.native.model import LlamaModel
from models.llama.settings import LlamaSettings

_log = logging.getLogger(__name__)
_MAX_TEMPLATE_BYTES = 1 << 20
_QUESTION, _SYSTEM = "QUESTION", "INSTRUCTIONS"
_REMEDY = "Name another one as model.llama.chat_template: a file, or one of llama.cpp's families, such as chatml."


@dataclass(frozen=True, slots=True)
class ChosenTemplate:
    """A template that renders a question. `description` says for people where it is from, `text` is its source, empty
    for those that are part of llama.cpp; `takes_system` whether it renders a system turn; `clock` tells it the date.
    """

    render: Render
    description: str
    text: str
    takes_system: bool
    clock: TemplateClock


def choose_template(model: LlamaModel, settings: LlamaSettings) -> ChosenTemplate:
    """The template, tried on some turns. Raises ModelUnusable when it renders no question, and for a configured one
    that cannot be read.
    """
    template, description = _find_template(model, settings)
    if isinstance(template, JinjaTemplate):
        for name in template.unused_arguments:
            _log.warning("Could not apply template_arguments.%s: the chat template of %s has none.", name, model.name)
    elif settings.template_arguments:
        _log.warning("Could not apply template_arguments: %s takes none.", description)
    _require_question(template, model)
    if (problem := _history_problem(template)) is not None:
        _log.warning("Could not render a second question with the chat template of %s: %s", model.name, problem)
        description += f", fails on a second question: {problem}"
    text, clock = (template.text, template.clock) if isinstance(template, JinjaTemplate) else ("", TemplateClock())
    return ChosenTemplate(template.render, description, text, _takes_system(template.render), clock)


def _find_template(model: LlamaModel, settings: LlamaSettings) -> tuple[JinjaTemplate | BuiltinTemplate, str]:
    named = settings.chat_template
    if isinstance(named, Path):
        return _read_template(model, settings, named), f"the template {named}, named in the config"
    if named != "auto":
        if named not in builtin_families():
            raise ModelUnusable(f"The chat template {named} is not known. {_choices()}")
        return BuiltinTemplate(named), f"llama.cpp's template {named}, named in the config"
    if (text := model.chat_template) is None:
        return _fall_back(model, "it has none")
    try:
        return _compile(model, settings, text), "the template in the model file"
    except TemplateError as error:
        try:
            _log.warning("Could not read the chat template of %s: %s. %s", model.name, error, _REMEDY)
            return BuiltinTemplate(text), f"llama.cpp's template for a broken one in the model file: {error}"
        except ValueError:
            return _fall_back(model, f"its own is broken: {error}")


def _fall_back(model: LlamaModel, reason: str) -> tuple[BuiltinTemplate, str]:
    family = family_of_vocabulary(model.special_tokens)
    _log.warning(
        "Using llama.cpp's chat template %s, by the vocabulary of %s: %s. %s", family, model.name, reason, _REMEDY
    )
    return BuiltinTemplate(family), f"llama.cpp's template {family}, guessed by the vocabulary: {reason}"


def _read_template(model: LlamaModel, settings: LlamaSettings, path: Path) -> JinjaTemplate:
    try:
        with path.open("rb") as file:
            return _compile(model, settings, file.read(_MAX_TEMPLATE_BYTES).decode())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        names = ", ".join(builtin_families())
        raise ModelUnusable(
            f"The chat template {path} cannot be read: {reason}. Give the path of a file, or one of: {names}.",
            str(path),
        ) from error
    except TemplateError as error:
        raise ModelUnusable(f"The chat template {path} is not valid: {error}", str(path)) from error


def _choices() -> str:
    return f"Give the path of a file that ends in .jinja, or one of: {', '.join(builtin_families())}."


def _compile(model: LlamaModel, settings: LlamaSettings, text: str) -> JinjaTemplate:
    return JinjaTemplate(text, model.token_text(model.bos_token), model.eos_text, settings.template_arguments)


def _require_question(template: JinjaTemplate | BuiltinTemplate, model: LlamaModel) -> None:
    messages: list[Message] = [{"role": "user", "content": _QUESTION}]
    try:
        if isinstance(template, JinjaTemplate):
            template.adapt(messages)
        text = template.render(messages, False, None)
    except TEMPLATE_ERRORS as error:
        raise ModelUnusable(
            f"The chat template of {model.name} fails on every question: {error}. {_REMEDY}", str(model.path)
        ) from error
    if _QUESTION not in text:
        raise ModelUnusable(f"The chat template of {model.name} leaves the question out. {_REMEDY}", str(model.path))


def _history_problem(template: JinjaTemplate | BuiltinTemplate) -> str | None:
    turns = [("user", "A"), ("assistant", "B"), ("user", "C")]
    try:
        template.render([{"role": role, "content": text} for role, text in turns], False, None)
    except TEMPLATE_ERRORS as error:
        return str(error)
    return None


def _takes_system(render: Render) -> bool:
    """Whether the template renders a system turn; some reject it, some omit it."""
    messages: Sequence[dict[str, Any]] = [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": _QUESTION},
    ]
    try:
        return _SYSTEM in render(messages, False, None)
    except TEMPLATE_ERRORS:
        return False
