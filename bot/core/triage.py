"""Triage: whether a message gets an answer, a command, a refusal, or no reply. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.core.messages import Message


class IgnoreReason(StrEnum):
    """Why a message gets no reply."""

    BOT = "written by a bot"
    BLOCKED = "its author is blocked"
    NOT_ADDRESSED = "not meant for the assistant"


@dataclass(frozen=True, slots=True)
class TriagePolicy:
    """The rules of triage. `commands` maps every alias of a command to its name."""

    prefix: str
    commands: Mapping[str, str]
    blocked: frozenset[str] = field(default_factory=frozenset)
    question_characters: int = 20_000


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
    values: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ignore:
    """Reply nothing and store nothing."""

    reason: IgnoreReason


Decision = AnswerQuestion | RunCommand | Refuse | Ignore


def decide(message: Message, policy: TriagePolicy) -> Decision:
    """The decision about a message."""
    if message.author.is_bot:
        return Ignore(IgnoreReason.BOT)
    if message.author.id in policy.blocked:
        return Ignore(IgnoreReason.BLOCKED)
    text = message.text.strip()
    if message.command:
        named = RunCommand(message.command, text)
        return _question(text, message, policy) if named.name == "ask" else named
    command = _prefixed_command(text, policy) or (_bare_command(text, policy) if message.addressed else None)
    if command is None and not message.addressed:
        return Ignore(IgnoreReason.NOT_ADDRESSED)
    if command is None or command.name == "ask":
        return _question(command.argument if command else text, message, policy)
    return command


def _question(text: str, message: Message, policy: TriagePolicy) -> AnswerQuestion | Refuse:
    if not text and not message.attachments:
        return Refuse("empty_question")
    if len(text) > policy.question_characters:
        return Refuse("question_too_long_characters", {"size": len(text), "limit": policy.question_characters})
    return AnswerQuestion(text)


def _prefixed_command(text: str, policy: TriagePolicy) -> RunCommand | None:
    if not text.startswith(policy.prefix):
        return None
    word, _, argument = text.removeprefix(policy.prefix).partition(" ")
    name = policy.commands.get(word.casefold())
    return RunCommand(name, argument.strip()) if name else None


def _bare_command(text: str, policy: TriagePolicy) -> RunCommand | None:
    # Only the word alone: "stop" is a command, "stop the sprinkler at noon?" is a question.
    name = policy.commands.get(text.casefold())
    return RunCommand(name) if name else None
