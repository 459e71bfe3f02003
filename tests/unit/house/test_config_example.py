"""The example config: it loads, holds every key there is with its default, and explains each."""

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter

from adapters.discord.platform import DISCORD
from adapters.intake.settings import ChannelSettings
from adapters.matrix.platform import MATRIX
from bot.config.loading import load_config
from bot.config.schema import Config, config_model
from bot.config.yaml_source import parse_yaml
from models.weights_sources import HubSource, PathSource, WeightsSource, WheelSource

EXAMPLE = Path(__file__).parents[3] / "config.example.yaml"
EXAMPLE_COLLECTION = "household"
TEXT = EXAMPLE.read_text(encoding="utf-8")
COMPARED = {"data_folder", "cache_folder", "log_level", "weights", "model", "knowledge", "core", "console", "http"}
"""The sections whose comments are the descriptions of their fields; a platform may say more in its section."""
REWORDED = {
    ("weights", "chat"): "names the other kinds of source",
    ("weights", "chat", "source"): "is the kind of this source",
    ("weights", "embedding"): "refers to the sources above it",
    ("knowledge", "collections", "household", "folder"): "is about this file",
}
ALTERNATIVE = re.compile(r"^ *#(\w+: \{.*\})$", re.MULTILINE)


def alternatives() -> list[Any]:
    """What stands in the example as a line that only waits for its `#` to be taken away."""
    return [next(iter(yaml.safe_load(line).values())) for line in ALTERNATIVE.findall(TEXT)]


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
    elif get_origin(annotation) in (Union, types.UnionType) or get_args(annotation):
        for argument in get_args(annotation):
            yield from models_in(argument)


def written(model: BaseModel) -> Iterator[tuple[type[BaseModel], str]]:
    """The keys that were really in the file, by the model they belong to."""
    for name in model.model_fields_set:
        yield type(model), name
        yield from written_in(getattr(model, name))


def written_in(value: Any) -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(value, BaseModel):
        yield from written(value)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from written_in(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from written_in(inner)


def test_every_key_there_is_stands_in_the_example() -> None:
    shown = set(written(config_model().model_validate(yaml.safe_load(TEXT))))
    for source in alternatives():
        shown |= set(written(TypeAdapter(WeightsSource).validate_python(source)))
    known = {(model, name) for model in models_in(config_model()) for name in model.model_fields}
    missing = sorted(f"{model.__name__}.{name}" for model, name in known - shown)
    assert not missing, f"config.example.yaml does not show {', '.join(missing)}"


def test_the_walk_sees_settings_at_every_depth() -> None:
    found = {model.__name__ for model in models_in(config_model())}
    assert {"LlamaSettings", "CollectionSettings", "WheelPart", "HubSource", "HttpSettings"} <= found


def test_the_example_is_the_defaults_but_for_its_collection_its_channel_and_its_room() -> None:
    example, default = load_config(EXAMPLE), load_config(None)
    collection = example.knowledge.collections[EXAMPLE_COLLECTION]
    assert collection == type(collection)(folder=collection.folder)
    knowledge = example.knowledge.model_copy(update={"collections": {}})
    discord, matrix = example.platform_settings(DISCORD), example.platform_settings(MATRIX)
    assert set(discord.channel_overrides.values()) == {ChannelSettings()}
    discord = discord.model_copy(update={"channel_overrides": {}})
    assert set(matrix.room_overrides.values()) == {ChannelSettings()}
    matrix = matrix.model_copy(update={"room_overrides": {}})
    assert example.model_copy(update={"knowledge": knowledge, "discord": discord, "matrix": matrix}) == default


def test_the_alternatives_are_the_other_kinds_of_source() -> None:
    sources = [TypeAdapter(WeightsSource).validate_python(source) for source in alternatives()]
    assert {type(source) for source in sources} == {HubSource, PathSource}
    assert isinstance(Config().weights.chat, WheelSource)


def test_every_key_is_explained_on_the_line_above() -> None:
    lines = TEXT.splitlines()
    unexplained = [
        lines[number - 1].strip()
        for path, number in parse_yaml(TEXT).lines.items()
        if isinstance(path[-1], str) and not lines[number - 2].lstrip(" -").startswith("#")
    ]
    assert not unexplained


def descriptions(path: tuple[str | int, ...]) -> set[str]:
    """The descriptions of the setting at a path, one for each kind of section; none for names that admins choose."""
    models: list[type[BaseModel]] = [config_model()]
    found: set[str] = set()
    for key in path:
        fields = [model.model_fields[key] for model in models if isinstance(key, str) and key in model.model_fields]
        if fields:
            models = [inner for field in fields for inner in field_models(field.annotation)]
        found = {field.description or "" for field in fields}
    return found


def field_models(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field holds, without those inside them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in field_models(argument)]


def comment_above(lines: list[str], number: int) -> str:
    """The comment above a line, joined; `number` counts from 1."""
    comment: list[str] = []
    for line in reversed(lines[: number - 1]):
        text = line.lstrip(" -")
        if not text.startswith("#") or ALTERNATIVE.match(line):
            break
        comment.insert(0, text[1:].strip())
    return " ".join(comment)


def test_every_comment_begins_with_the_description_of_its_key() -> None:
    lines = TEXT.splitlines()
    different = {}
    for path, number in parse_yaml(TEXT).lines.items():
        expected = descriptions(path) if path[0] in COMPARED and path not in REWORDED else set()
        # An empty value is `none` to people and `null` in YAML.
        comment = comment_above(lines, number).replace("; null:", "; none:")
        if expected and not comment.startswith(tuple(expected)):
            different[path] = f"{comment!r} is not {expected!r}"
    assert different == {}


@pytest.mark.parametrize("model", sorted(set(models_in(config_model())), key=lambda model: model.__name__))
def test_every_setting_has_a_description_and_its_model_takes_no_unknown_key(model: type[BaseModel]) -> None:
    assert model.model_config.get("frozen")
    assert model.model_config.get("extra") == "forbid"
    undescribed = [name for name, field in model.model_fields.items() if not field.description]
    assert not undescribed
