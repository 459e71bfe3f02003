"""Junk rules: the names of files and folders that hold nothing to read, such as caches and leftovers of editors."""

import re
import unicodedata
from collections.abc import Sequence

from knowledge.globs import expand_braces, glob_regex

DEFAULT_JUNK = (
    ".*",
    "[~]$*",
    "*~",
    "*.{tmp,temp,swp,part,crdownload,bak}",
    "thumbs.db",
    "desktop.ini",
    "__pycache__/",
    "node_modules/",
    "bower_components/",
    "site-packages/",
    "venv/",
    "vendor/",
    "target/",
    "@eadir/",
    "#recycle/",
    "#snapshot/",
    "$recycle.bin/",
    "system volume information/",
    "lost+found/",
)
"""Hidden files, leftovers of editors and downloads, packages and build results, service folders of NAS systems."""

_ANY_FOLDER = "(?:.*/)?"


class JunkRules:
    """Glob patterns whose matches are left out. One that ends in a slash is for folders only.

    Raises GlobInvalid.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        rules = [(rule, glob_regex(each, rule)) for rule in patterns for each in expand_braces(rule)]
        by_name = [(rule, regex) for rule, regex in rules if "/" not in rule.rstrip("/")]
        by_path = [(rule, regex) for rule, regex in rules if "/" in rule.rstrip("/")]
        # One expression each, as every entry of every folder goes through it.
        self._names = _alternatives([regex.removeprefix(_ANY_FOLDER) for _, regex in by_name])
        self._paths = _alternatives([regex for _, regex in by_path])
        self._name_rules = [rule for rule, _ in by_name]
        self._path_rules = [rule for rule, _ in by_path]

    def find_rule(self, below: str, name: str, *, is_folder: bool) -> str:
        """The rule that leaves out an entry of the folder `below`; empty for none."""
        folded = name if name.isascii() else unicodedata.normalize("NFC", name)
        for entry in (folded, folded + "/") if is_folder else (folded,):
            if found := self._names.fullmatch(entry):
                return self._name_rules[(found.lastindex or 1) - 1]
            if self._path_rules and (found := self._paths.fullmatch(unicodedata.normalize("NFC", below) + entry)):
                return self._path_rules[(found.lastindex or 1) - 1]
        return ""


def _alternatives(expressions: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"({each})" for each in expressions) or r"(?!)", re.IGNORECASE)
