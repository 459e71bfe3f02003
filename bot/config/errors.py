"""Translates pydantic's errors about a config into faults with the file's paths, lines and nearest known keys."""

import difflib
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bot.config.plain_sentences import found_value, plain_sentence
from bot.config.yaml_source import ConfigFault, KeyPath, YamlSource, format_key_path

QUOTE = "'"
MUST_BE = "must be "
UNIONS = (Union, types.UnionType)


def validation_faults(
    error: ValidationError, model: type[BaseModel], source: YamlSource, replaced_keys: Mapping[str, str]
) -> list[ConfigFault]:
    """Every fault of a validation, by line. `replaced_keys` maps paths of old keys to those of the new ones."""
    by_path: dict[KeyPath, list[ErrorDetails]] = {}
    owners: dict[KeyPath, tuple[type[BaseModel], ...]] = {}
    for detail in error.errors(include_url=False):
        path, owners[path] = locate_key(detail["loc"], model)
        by_path.setdefault(path, []).append(detail)
    faults = [
        _fault(path, details, owners[path], source.line_of(path), replaced_keys) for path, details in by_path.items()
    ]
    return sorted(faults, key=lambda fault: (fault.line, fault.path))


def _fault(
    path: KeyPath,
    details: Sequence[ErrorDetails],
    owners: Sequence[type[BaseModel]],
    line: int,
    replaced_keys: Mapping[str, str],
) -> ConfigFault:
    """The fault of a key; it has several errors when the key takes values of several kinds."""
    written = format_key_path(path)
    replacement = replaced_keys.get(written) if details[0]["type"] == "extra_forbidden" else None
    sentence = f"is now called `{replacement}`." if replacement else _sentence(details, owners)
    return ConfigFault(written, line, sentence)


def locate_key(location: Sequence[str | int], model: type[BaseModel]) -> tuple[KeyPath, tuple[type[BaseModel], ...]]:
    """The path in the file for a location in the models, and the models that the last key belongs to.

    pydantic adds the chosen member of a union to the location; the file has no such level.
    """
    path: list[str | int] = []
    choices: list[Any] = [model]
    owners: tuple[type[BaseModel], ...] = ()
    for part in location:
        if part == "[key]":  # pydantic's marker for a fault of the key itself
            break
        narrowed = [choice for choice in choices if len(choices) > 1 and _is_tagged(choice, part)]
        if narrowed:
            choices = narrowed
            continue
        owners = tuple(choice for choice in choices if _is_model(choice))
        path.append(part)
        choices = [inner for choice in choices for inner in _inner_choices(choice, part)]
    return tuple(path), owners


def union_members(annotation: Any) -> list[Any]:
    """The types that an annotation allows, without None: the members of a union, or the annotation itself."""
    if get_origin(annotation) is Annotated:
        return union_members(get_args(annotation)[0])
    if get_origin(annotation) in UNIONS:
        return [each for one in get_args(annotation) if one is not types.NoneType for each in union_members(one)]
    return [annotation]


def _inner_choices(choice: Any, part: str | int) -> list[Any]:
    if _is_model(choice):
        field = choice.model_fields.get(str(part))
        return union_members(field.annotation) if field else []
    arguments = [each for each in get_args(choice) if each is not Ellipsis]
    return union_members(arguments[-1]) if arguments and get_origin(choice) is not Literal else []


def _is_model(choice: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(choice, type) and issubclass(choice, BaseModel)


def _is_tagged(choice: Any, part: str | int) -> bool:
    """Whether a location names this member of a union: by its class, or by the value of its discriminator."""
    fields = choice.model_fields.values() if _is_model(choice) else ()
    if get_origin(choice) is Literal and str(part).startswith("literal["):
        return True
    tags = [field.default for field in fields if get_origin(field.annotation) is Literal]
    return part in tags or part == getattr(choice, "__name__", None)


def _sentence(details: Sequence[ErrorDetails], owners: Sequence[type[BaseModel]]) -> str:
    detail = details[0]
    if detail["type"] == "extra_forbidden":
        return f"is not a key that Hearth knows{_suggestion(str(detail['loc'][-1]), owners)}"
    if detail["type"] == "missing":
        return "is missing."
    if detail["type"] == "union_tag_not_found":
        return f"needs the key `{str(detail['ctx']['discriminator']).strip(QUOTE)}`."
    sentence = _join_choices([plain_sentence(each) for each in details])
    if sentence.endswith("?") or f"`{detail['input']}`" in sentence:  # it names the value itself
        return sentence if sentence.endswith("?") else f"{sentence}."
    return f"{sentence}{found_value(detail)}."


def _join_choices(sentences: Sequence[str]) -> str:
    """One sentence for what a value may be: the first one, with the ends of all others like it."""
    ends = [each.removeprefix(MUST_BE) for each in sentences if each.startswith(MUST_BE)]
    return f"{MUST_BE}{' or '.join(dict.fromkeys(ends))}" if len(ends) == len(sentences) else sentences[0]


def _suggestion(key: str, owners: Sequence[type[BaseModel]]) -> str:
    known = sorted({name for owner in owners for name in owner.model_fields})
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean `{near[0]}`?"
    return f"; known here: {', '.join(known)}." if 0 < len(known) <= 10 else "."
