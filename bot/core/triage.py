"""Triage: whether a message gets an answer, a command, a refusal, or no reply. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.core.command_names import fold_name, is_name_like, nearest_name, split_command, strip_closing_marks
from bot.core.messages import Message
from bot.core.small_talk import recognize_small_talk

SLASH = "/"
"""Begins a command in a message meant for the assistant, besides the configured prefix."""
SMALL_TALK = "small_talk"
"""Name of the command that replies to small talk; its argument is the kind."""
_ALL_FORGOTTEN = frozenset(
    {"all", "everything", "conversation", "this conversation", "the conversation", "it", "that", "me"}
    | {"tout", "ca", "moi", "la conversation", "cette conversation"}
)
"""Texts after a bare `forget` that look like an order, and would otherwise be answered as if it had been followed."""


class IgnoreReason(StrEnum):
    """Why a message gets no reply."""

    BOT = "written by a bot"
    BLOCKED = "its author is blocked"
    NOT_ADDRESSED = "not meant for the assistant"


@dataclass(frozen=True, slots=True)
class TriagePolicy:
    """The rules of triage. `commands` maps every alias of a command, folded, to its name.

    `name`: the assistant's, which may stand in small talk.
    """

    prefix: str
    commands: Mapping[str, str]
    blocked: frozenset[str] = field(default_factory=frozenset)
    question_characters: int = 20_000
    name: str = ""


@dataclass(frozen=True, slots=True)
class AnswerQuestion:
    """Answer the question from the documents."""

    question: str


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Run a command."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Reply with one sentence: the key of a text, and its values."""

    text_key: str
    values: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ignore:
    """Reply nothing and store nothing."""

    reason: IgnoreReason


Decision = AnswerQuestion | RunCommand | Refuse | Ignore


def decide(message: Message, policy: TriagePolicy) -> Decision:
    """The decision about a message."""
    if message.author.is_bot or message.author.id in policy.blocked:
        return Ignore(IgnoreReason.BOT if message.author.is_bot else IgnoreReason.BLOCKED)
    text = message.text.strip()
    if message.command:
        named = RunCommand(message.command, text)
        return _question(text, message, policy) if named.name == "ask" else named
    command = _prefixed_command(text, message, policy) or (_bare_command(text, policy) if message.addressed else None)
    if command is None:
        return _question(text, message, policy) if message.addressed else Ignore(IgnoreReason.NOT_ADDRESSED)
    if isinstance(command, RunCommand) and command.name == "ask":
        return _question(command.argument, message, policy)
    return command


def _question(text: str, message: Message, policy: TriagePolicy) -> AnswerQuestion | RunCommand | Refuse:
    if not text and not message.attachments:
        return Refuse("empty_question")
    if len(text) > policy.question_characters:
        return Refuse("question_too_long_characters", {"size": len(text), "limit": policy.question_characters})
    if not message.attachments and (small_talk := recognize_small_talk(text, policy.name)):
        return RunCommand(SMALL_TALK, small_talk.kind)
    return AnswerQuestion(text)


def _prefixed_command(text: str, message: Message, policy: TriagePolicy) -> RunCommand | Refuse | None:
    prefix = next((each for each in _prefixes(message, policy) if text.startswith(each)), None)
    if prefix is None:
        return None
    word, argument = split_command(text.removeprefix(prefix))
    if name := policy.commands.get(fold_name(strip_closing_marks(word))):
        return RunCommand(name, argument)
    return _unknown_command(prefix, word, argument, policy) if message.addressed else None


def _prefixes(message: Message, policy: TriagePolicy) -> tuple[str, ...]:
    return (policy.prefix, SLASH) if message.addressed else (policy.prefix,)


def _unknown_command(prefix: str, word: str, argument: str, policy: TriagePolicy) -> Refuse | None:
    """The sentence about a misspelled command; None for a text that only begins with the prefix."""
    if not is_name_like(strip_closing_marks(word)):
        return None
    if nearest := nearest_name(word, policy.commands):
        return Refuse("unknown_command_near", {"written": prefix + word, "nearest": prefix + nearest, "prefix": prefix})
    return None if argument else Refuse("unknown_command", {"written": prefix + word, "prefix": prefix})


def _bare_command(text: str, policy: TriagePolicy) -> RunCommand | Refuse | None:
    # Only the word alone: "stop" is a command, "stop the sprinkler at noon?" is a question.
    word, argument = split_command(strip_closing_marks(text))
    name = policy.commands.get(fold_name(word))
    # "oublie" is French for "never mind", so a word alone deletes nothing.
    if name == "forget" and (not argument or fold_name(argument) in _ALL_FORGOTTEN):
        return Refuse("forget_needs_prefix", {"prefix": policy.prefix})
    return RunCommand(name) if name and not argument else None
