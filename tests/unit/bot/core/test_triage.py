"""What a message asks for, as a table."""

import pytest

from bot.core.messages import Attachment, Audience, ConversationId, Message, Person
from bot.core.triage import AnswerQuestion, Decision, Ignore, IgnoreReason, Refuse, RunCommand, TriagePolicy, decide

POLICY = TriagePolicy(
    prefix="!",
    commands={
        "ask": "ask",
        "help": "help",
        "aide": "help",
        "stop": "stop",
        "arrete": "stop",
        "forget": "forget",
        "oublie": "forget",
    },
    blocked=frozenset({"mallory"}),
    question_characters=50,
    name="Hearth",
)


NOT_FORGOTTEN = Refuse("forget_needs_prefix", {"prefix": "!"})


def near(written: str, nearest: str) -> Refuse:
    return Refuse("unknown_command_near", {"written": written, "nearest": nearest, "prefix": written[0]})


def message(text: str, *, addressed: bool = True, author: str = "ana", bot: bool = False, files: int = 0) -> Message:
    return Message(
        conversation=ConversationId("console:room"),
        event_id="1",
        author=Person(author, author.title(), is_bot=bot),
        text=text,
        addressed=addressed,
        audience=Audience(frozenset({"console:room"})),
        sent_at=0.0,
        attachments=tuple(Attachment(f"{number}.txt", "text/plain", b"x") for number in range(files)),
    )


@pytest.mark.parametrize(
    ("asked", "decision"),
    [
        (message("Where is it?"), AnswerQuestion("Where is it?")),
        (message("  Where is it?\n"), AnswerQuestion("Where is it?")),
        (message("Where is it?", addressed=False), Ignore(IgnoreReason.NOT_ADDRESSED)),
        (message("", addressed=False), Ignore(IgnoreReason.NOT_ADDRESSED)),
        (message("Where is it?", bot=True), Ignore(IgnoreReason.BOT)),
        (message("!help", bot=True), Ignore(IgnoreReason.BOT)),
        (message("Where is it?", author="mallory"), Ignore(IgnoreReason.BLOCKED)),
        (message(""), Refuse("empty_question")),
        (message(" \n\t"), Refuse("empty_question")),
        (message("", files=1), AnswerQuestion("")),
        (message("!ask"), Refuse("empty_question")),
        (message("!ask Where is it?"), AnswerQuestion("Where is it?")),
        (message("!ask Where is it?", addressed=False), AnswerQuestion("Where is it?")),
        (message("!help", addressed=False), RunCommand("help")),
        (message("!HELP"), RunCommand("help")),
        (message("help"), RunCommand("help")),
        (message("Aide"), RunCommand("help")),
        (message("help", addressed=False), Ignore(IgnoreReason.NOT_ADDRESSED)),
        (message("stop"), RunCommand("stop")),
        (message("stop the sprinkler at noon?"), AnswerQuestion("stop the sprinkler at noon?")),
        (message("!forget conversation"), RunCommand("forget", "conversation")),
        (message("!unknown thing"), AnswerQuestion("!unknown thing")),
        (message("!unknown thing", addressed=False), Ignore(IgnoreReason.NOT_ADDRESSED)),
        (message("!help?"), RunCommand("help")),
        (message("help?"), RunCommand("help")),
        (message("stop!"), RunCommand("stop")),
        (message("!arrête"), RunCommand("stop")),
        (message("!arrete"), RunCommand("stop")),
        (message("!arre\u0302te"), RunCommand("stop")),
        (message("Arrête !"), RunCommand("stop")),
        (message("!forget\u00a0conversation"), RunCommand("forget", "conversation")),
        (message("!ask\nWhere is it?"), AnswerQuestion("Where is it?")),
        (message("/help"), RunCommand("help")),
        (message("/forget"), RunCommand("forget")),
        (message("/help", addressed=False), Ignore(IgnoreReason.NOT_ADDRESSED)),
        (message("/etc/hosts: who reads it?"), AnswerQuestion("/etc/hosts: who reads it?")),
        (message("/tmp is full, why?"), AnswerQuestion("/tmp is full, why?")),
        (message("!forgett"), near("!forgett", "!forget")),
        (message("!forgett conversation"), near("!forgett", "!forget")),
        (message("/hlep"), near("/hlep", "/help")),
        (message("!forgett", addressed=False), Ignore(IgnoreReason.NOT_ADDRESSED)),
        (message("!nosuch"), Refuse("unknown_command", {"written": "!nosuch", "prefix": "!"})),
        (message("!!! where is it"), AnswerQuestion("!!! where is it")),
        (message("forget"), NOT_FORGOTTEN),
        (message("Oublie !"), NOT_FORGOTTEN),
        (message("oublie ça"), NOT_FORGOTTEN),
        (message("forget everything"), NOT_FORGOTTEN),
        (message("forget", addressed=False), Ignore(IgnoreReason.NOT_ADDRESSED)),
        (message("forget the key, where is the drive?"), AnswerQuestion("forget the key, where is the drive?")),
        (message("Hello Hearth!"), RunCommand("small_talk", "greeting")),
        (message("Merci !"), RunCommand("small_talk", "thanks")),
        (message("!ask what can you do?"), RunCommand("small_talk", "about")),
        (message("Hello!", addressed=False), Ignore(IgnoreReason.NOT_ADDRESSED)),
        (message("Hello!", files=1), AnswerQuestion("Hello!")),
        (message("Hello, where is it?"), AnswerQuestion("Hello, where is it?")),
        (message("x" * 50), AnswerQuestion("x" * 50)),
        (message("x" * 51), Refuse("question_too_long_characters", {"size": 51, "limit": 50})),
    ],
)
def test_a_message_is_decided_by_the_table(asked: Message, decision: Decision) -> None:
    assert decide(asked, POLICY) == decision
