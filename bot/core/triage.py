"""Decides what a message asks for: an answer, a command, a refusal, or nothing. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.core.messages import Message


class IgnoreReason(StrEnum):
    """Why a message is none of our business."""

    BOT = "written by a bot"
    BLOCKED = "its author is blocked"
    NOT_ADDRESSED = "not meant for the assistant"


@dataclass(frozen=True, slots=True)
class TriagePolicy:
    """What decisions depend on besides the message. `commands` maps every word for a command to its name."""

    prefix: str
    commands: Mapping[str, str]
    blocked: frozenset[str] = field(default_factory=frozenset)
    question_characters: int = 20_000


@dataclass(frozen=True, slots=True)
class AnswerQuestion:
    """Find passages and answer the question."""

    question: str


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Run a command of the table."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Say one sentence: a key of the texts, and what it names."""

    text_key: str
    values: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ignore:
    """Do nothing, and store nothing."""

    reason: IgnoreReason


Decision = AnswerQuestion | RunCommand | Refuse | Ignore


def decide(message: Message, policy: TriagePolicy) -> Decision:
    """What to do about a message."""
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
