"""Every exception class carries a sentence for people, and is marked so, or is internal for a reason given here."""

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.core.errors import ReplyFailed, is_user_facing
from models.engine import EngineFailed, SchemaRefused

ROOT = Path(__file__).parents[3]
ROOMS = ("bot", "adapters", "knowledge", "models")

FRAGMENT = "its text is part of a sentence that the caller completes"
SIGNAL = "ends work that is no longer wanted; never leaves its module's callers"
TRANSLATED = "always translated before it leaves its room"
INTERNAL = {
    "adapters/console/jsonl.py:BadLine": FRAGMENT,
    "adapters/delivery/errors.py:RateLimited": FRAGMENT,
    "adapters/delivery/errors.py:TransientFailure": FRAGMENT,
    "adapters/discord/outgoing/interaction_transport.py:TokenExpired": TRANSLATED,
    "adapters/matrix/account/signing.py:NotCanonical": TRANSLATED,
    "adapters/matrix/homeserver.py:FileTooLarge": TRANSLATED,
    "adapters/matrix/homeserver.py:LoggedOut": FRAGMENT,
    "adapters/matrix/homeserver.py:RequestRefused": FRAGMENT,
    "adapters/matrix/verification/sas.py:_ProtocolError": "its text is a code of the protocol",
    "bot/core/answer.py:MaterialOutdated": "never leaves its module: the prompt is built again",
    "bot/core/attachments.py:_OutOfTime": TRANSLATED,
    "bot/core/queue.py:TooManyWaiting": "refused in the person's language, or with status 429",
    "knowledge/reading/network.py:NetworkDenied": TRANSLATED,
    "knowledge/reading/process.py:ProcessLost": FRAGMENT,
    "knowledge/vectors.py:IndexDamaged": "logged where the index is rebuilt; never leaves knowledge",
    "models/fetch_job.py:FetchCancelled": SIGNAL,
    "models/gguf_header.py:NotGguf": FRAGMENT,
    "models/llama/kv_cache/snapshot_file.py:SnapshotUnusable": FRAGMENT,
    "models/llama/kv_cache/state_layout.py:_Unrecognised": "never leaves its module: the state is kept whole",
    "models/llama/loading/loader.py:LoadCancelled": SIGNAL,
    "models/llama/native/context.py:DecodeAborted": SIGNAL,
    "models/llama/native/context.py:DecodeFailed": TRANSLATED,
}


@dataclass(frozen=True)
class ErrorClass:
    """An exception class as its source defines it."""

    name: str
    bases: tuple[str, ...]
    body: ast.ClassDef

    @property
    def marks_itself(self) -> bool:
        """Whether its body says `user_facing = True`."""
        return any(ast.unparse(line) == "user_facing = True" for line in self.body.body)

    @property
    def fields(self) -> list[str]:
        """The fields of a dataclass."""
        return [ast.unparse(line.target) for line in self.body.body if isinstance(line, ast.AnnAssign)]

    @property
    def has_own_text(self) -> bool:
        """Whether it defines `__str__`."""
        return any(isinstance(line, ast.FunctionDef) and line.name == "__str__" for line in self.body.body)


def classes() -> Iterator[tuple[str, ErrorClass]]:
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = tuple(ast.unparse(base).rsplit(".", 1)[-1] for base in node.bases)
                yield f"{path.relative_to(ROOT)}:{node.name}", ErrorClass(node.name, bases, node)


def error_classes() -> dict[str, ErrorClass]:
    """All exception classes of the product, derived ones too."""
    names = {
        name for name, thing in vars(builtins).items() if isinstance(thing, type) and issubclass(thing, BaseException)
    }
    every, found = dict(classes()), dict[str, ErrorClass]()
    while fresh := {where: each for where, each in every.items() if where not in found and names & {*each.bases}}:
        found |= fresh
        names |= {each.name for each in fresh.values()}
    return found


ERRORS = error_classes()


def is_marked(error: ErrorClass) -> bool:
    """Whether it carries the mark, inherited or its own."""
    parents = [each for each in ERRORS.values() if each.name in error.bases]
    return error.marks_itself or any(map(is_marked, parents))


@pytest.mark.parametrize("where", sorted(ERRORS))
def test_an_error_carries_the_mark_or_is_internal_for_a_reason(where: str) -> None:
    assert is_marked(ERRORS[where]) != (where in INTERNAL)


@pytest.mark.parametrize("where", sorted(where for where, error in ERRORS.items() if error.marks_itself))
def test_a_marked_error_with_fields_says_its_own_sentence(where: str) -> None:
    assert ERRORS[where].has_own_text or not ERRORS[where].fields


def test_the_list_of_internal_errors_names_no_other() -> None:
    assert INTERNAL.keys() <= ERRORS.keys()


def test_the_mark_is_inherited_and_others_lack_it() -> None:
    assert is_user_facing(ReplyFailed("The channel is gone."))
    assert is_user_facing(EngineFailed("The model failed."))
    assert is_user_facing(SchemaRefused("The schema is too large."))
    assert not is_user_facing(ValueError("no such thing"))
