"""A message is parsed once, however many parts of the incoming side read it."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from adapters.matrix.events import Event
from adapters.matrix.incoming import message_handler, own_messages, parsed_message, room_history
from adapters.matrix.incoming.parsed_message import ParsedMessage, parse_message
from tests.fakes.intake_scene import BEN, CHAT, in_thread, replying, scene
from tests.fakes.wire import ALICE, ROOM


class CountedContent(dict[str, Any]):
    """A content that counts how often each key is looked at."""

    def __init__(self, content: Any) -> None:
        super().__init__(content)
        self.reads: Counter[str] = Counter()

    def get(self, key: str, default: Any = None) -> Any:
        self.reads[key] += 1
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.reads[str(key)] += 1
        return super().__contains__(key)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each event was parsed."""
    counts: Counter[str] = Counter()

    def count(event: Event) -> ParsedMessage:
        counts[event.event_id] += 1
        return parse_message(event)

    for module in (message_handler, own_messages, room_history, parsed_message):
        monkeypatch.setattr(module, "parse_message", count)
    return counts


@pytest.mark.parametrize(
    ("room_id", "content"),
    [
        (ROOM, {"body": "Hearth: where is the key?"}),
        (ROOM, {"body": "nice weather"}),
        (ROOM, {"body": "!ask where is the key?"}),
        (ROOM, {"body": "!stats"}),
        (CHAT, {"body": "where is the key?"}),
        (CHAT, {"msgtype": "m.file", "body": "what is this?", "filename": "bill.txt", "url": "mxc://home.example/abc"}),
        (CHAT, {"msgtype": "m.file", "body": "bill.txt", "url": "mxc://home.example/abc"}),
    ],
)
async def test_a_message_is_parsed_exactly_once(parsed: Counter[str], room_id: str, content: dict[str, Any]) -> None:
    async with scene(recent_messages=5, answer_in_thread=True) as it:
        said = it.wire.say(room_id=room_id, sender=ALICE, **content)
        counted = CountedContent(said.content)
        await it.intake.take_event(replace(said, content=counted))
        assert parsed == {said.event_id: 1}
        assert counted.reads["m.relates_to"] == counted.reads["body"] == counted.reads["m.mentions"] == 1
        assert max(counted.reads.values()) == 1


async def test_a_question_in_a_thread_and_all_that_it_refers_to_are_parsed_once_each(parsed: Counter[str]) -> None:
    async with scene(recent_messages=5) as it:
        root = it.wire.say("Hearth: and?", BEN)
        inside = it.wire.say("hm", BEN, **in_thread(root))
        asked = it.wire.say("Hearth: where?", **{"m.relates_to": {**in_thread(root)["m.relates_to"]}})
        await it.intake.take_event(asked)
        assert it.taken == ["where?"]
        assert parsed == {root.event_id: 1, inside.event_id: 1, asked.event_id: 1}


async def test_of_a_reply_the_message_and_what_it_replies_to_are_parsed_once_each(parsed: Counter[str]) -> None:
    async with scene() as it:
        first = it.wire.say("Which key?", BEN)
        asked = it.wire.say("Hearth: that one?", **replying(first))
        await it.intake.take_event(asked)
        assert parsed == {first.event_id: 1, asked.event_id: 1}


async def test_the_text_and_the_links_are_found_once() -> None:
    message = parse_message(Event(ROOM, "$e", ALICE, "m.room.message", {"msgtype": "m.text", "body": "hi"}))
    assert message.typed is message.typed
    assert message.pills is message.pills
