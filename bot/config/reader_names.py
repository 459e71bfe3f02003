"""Names of readers and people in a config: an impossible name is a fault with the nearest right one."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.platform import NameForm
from bot.config.yaml_source import ConfigFault, KeyPath, YamlSource, format_key_path
from bot.core.messages import EVERYONE
from bot.platforms import PlatformRegistry

API = "api"
_ANY = (NameForm("", r"\S.*", ""),)
_ANY_WORD = "x"
"""A form that takes this takes everything, and makes no suggestion."""
_WORDS_BEFORE_ID = re.compile(r"^(?:[A-Za-z]+:)*(?=[@!\d])")


@dataclass(frozen=True, slots=True)
class NameRules:
    """The right forms of names by platform; `literals` are right names that a typo may stand for."""

    forms: Mapping[str, Sequence[NameForm]]
    whole: tuple[str, ...] = ()
    literals: tuple[str, ...] = ()

    def fault(self, name: str) -> str | None:
        """The fault of a name, as a sentence; None for a name that can match a person."""
        if self._is_right(name):
            return None
        if near := self._near_literals(name) or self._near_platforms(name) or self._near_values(name):
            return f"`{name}` matches nobody; did you mean {' or '.join(f'`{each}`' for each in near)}?"
        examples = [form.example for forms in self.forms.values() for form in forms if form.example]
        return (
            f"`{name}` matches nobody. Write a name like {', '.join(f'`{each}`' for each in (*self.whole, *examples))}."
        )

    def _is_right(self, name: str) -> bool:
        platform, _, rest = name.partition(":")
        return name in self.whole or any(
            rest.startswith(form.prefix) and re.fullmatch(form.value, rest.removeprefix(form.prefix))
            for form in self.forms.get(platform, ())
        )

    def _near_literals(self, name: str) -> list[str]:
        return difflib.get_close_matches(name.casefold(), (*self.whole, *self.literals), n=1, cutoff=0.7)

    def _near_platforms(self, name: str) -> list[str]:
        """The name with another platform, where that one is misspelled."""
        platform, _, rest = name.partition(":")
        owners = difflib.get_close_matches(platform.casefold(), self.forms, n=1, cutoff=0.7)
        return [f"{owner}:{rest}" for owner in owners if self._is_right(f"{owner}:{rest}")]

    def _near_values(self, name: str) -> list[str]:
        """The right names for an id that has nothing, or something else, before it."""
        platform, value = name.partition(":")[0], _WORDS_BEFORE_ID.sub("", name)
        return [
            f"{owner}:{form.prefix}{value}"
            for owner in ([platform] if platform in self.forms else self.forms)
            for form in self.forms[owner]
            if re.fullmatch(form.value, value) and not re.fullmatch(form.value, _ANY_WORD)
        ]


def name_faults(source: YamlSource, registry: PlatformRegistry) -> list[ConfigFault]:
    """Readers of collections and blocked people that can match no person, also in a config with other faults."""
    programs = _at(source.data, "http", "openai", "keys")
    readers, people = reader_rules(programs if isinstance(programs, dict) else {}, registry), person_rules(registry)
    places: list[tuple[NameRules, KeyPath]] = [(people, ("core", "people", "block"))]
    collections = _at(source.data, "knowledge", "collections")
    names = collections if isinstance(collections, dict) else {}
    places += [(readers, ("knowledge", "collections", str(name), "readers")) for name in names]
    return [fault for rules, path in places for fault in _faults(rules, path, source)]


def reader_rules(programs: Iterable[object], registry: PlatformRegistry) -> NameRules:
    """The rules for readers of collections; `programs` have API keys."""
    local = registry.local_chat.name
    forms: dict[str, Sequence[NameForm]] = {each.name: each.reader_forms or _ANY for each in registry.platforms}
    forms |= {broken.name: _ANY for broken in registry.broken}
    names = [f"{API}:{program}" for program in programs]
    forms[API] = [NameForm("", re.escape(name.removeprefix(f"{API}:")), name) for name in names]
    return NameRules(forms, (local, EVERYONE), tuple(names))


def person_rules(registry: PlatformRegistry) -> NameRules:
    """The rules for people."""
    forms: dict[str, Sequence[NameForm]] = {each.name: each.person_forms or _ANY for each in registry.platforms}
    return NameRules(forms | {broken.name: _ANY for broken in registry.broken})


def _faults(rules: NameRules, path: KeyPath, source: YamlSource) -> Iterator[ConfigFault]:
    names = _at(source.data, *path)
    for number, name in enumerate(names if isinstance(names, list) else ()):
        if isinstance(name, str) and (sentence := rules.fault(name)):
            place = (*path, number)
            yield ConfigFault(format_key_path(place), source.line_of(place), sentence)


def _at(data: Any, *path: str | int) -> Any:
    """The value at a path of a file; None without one."""
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data
