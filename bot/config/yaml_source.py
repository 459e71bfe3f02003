"""Reads one YAML file as plain data that still knows the line of every key."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]
_TEXT_TAG = "tag:yaml.org,2002:str"
_PLAIN_KEY_TAGS = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:null")
"""What YAML 1.1 makes of the keys `no`, `on` and `null`; people mean the words."""


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """A fault in the file: its place and a sentence. Line 0 stands for the file as a whole."""

    path: str
    line: int
    sentence: str


@dataclass
class YamlSource:
    """A file's content; `lines` has the line of every key and item, counted from 1; `faults` what YAML itself shows."""

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    faults: list[ConfigFault] = field(default_factory=list)

    def line_of(self, path: KeyPath) -> int:
        """The line of a key, or of the nearest thing around it that the file has."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1

    def has_key(self, path: KeyPath) -> bool:
        """Whether the file says anything under this path."""
        return path in self.lines


def read_yaml(file: Path) -> YamlSource:
    """Read a file; unreadable text, invalid YAML and repeated keys are in the result's `faults`."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return YamlSource(faults=[ConfigFault("", 0, "The file is not UTF-8 text.")])
    except OSError as error:
        return YamlSource(faults=[ConfigFault("", 0, f"The file cannot be read: {error.strerror}.")])
    return parse_yaml(text)


def parse_yaml(text: str) -> YamlSource:
    """As `read_yaml`, from the text."""
    source = YamlSource()
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            _walk(node, (), source, ())
            source.data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        source.faults.append(_syntax_fault(error))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        source.faults.append(ConfigFault("", 0, f"The file is not valid YAML: {error}."))
    finally:
        loader.dispose()
    return source


def format_key_path(path: KeyPath) -> str:
    """A path as people write it: `knowledge.collections.handbook`, `parts[0].member`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _walk(node: yaml.Node, path: KeyPath, source: YamlSource, above: tuple[yaml.Node, ...]) -> None:
    if node in above:
        raise ValueError("an alias contains itself")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag in _PLAIN_KEY_TAGS:
                key.tag = _TEXT_TAG
            _note_key(key, path, source)
            _walk(value, (*path, str(key.value)), source, (*above, node))
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            source.lines[(*path, number)] = item.start_mark.line + 1
            _walk(item, (*path, number), source, (*above, node))


def _note_key(key: yaml.Node, path: KeyPath, source: YamlSource) -> None:
    name = key.value if isinstance(key.value, Hashable) else ""
    inner = (*path, str(name))
    line = key.start_mark.line + 1
    if inner in source.lines:
        sentence = f"is here twice; the first is in line {source.lines[inner]}."
        source.faults.append(ConfigFault(format_key_path(inner), line, sentence))
    else:
        source.lines[inner] = line


def _syntax_fault(error: yaml.MarkedYAMLError) -> ConfigFault:
    line = error.problem_mark.line + 1 if error.problem_mark else 0
    problem = error.problem or "it cannot be understood"
    context = f", {error.context}" if error.context else ""
    return ConfigFault("", line, f"The file is not valid YAML: {problem}{context}.")
