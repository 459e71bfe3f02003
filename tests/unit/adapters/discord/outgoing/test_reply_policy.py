"""An answer on Discord, over a channel in memory."""

import asyncio
import re
from datetime import timedelta

import pytest

from adapters.delivery.live_reply import LiveReply
from adapters.discord.limits import CONTENT_CHARACTERS
from adapters.discord.outgoing.layout import DiscordPart
from adapters.discord.outgoing.reply_policy import DiscordReplyPolicy
from bot.core.errors import ReplyFailed
from bot.core.messages import Attachment, FinalAnswer, PostedPart, Timings
from tests.fakes.discord_place import MemoryTransport

QUESTION = "1234567890123456789"
LINK = re.compile(r"\[the page about shelf (\d+)\]\(https://example\.org/shelves/\1/what-lies-on-it\)")
ITEM_LINE = re.compile(rf"- See {LINK.pattern}, and `label \1`\.")


class Notes:
    def __init__(self) -> None:
        self.parts: list[PostedPart] = []

    async def record(self, part: PostedPart) -> None:
        self.parts.append(part)


async def begun(place: MemoryTransport, notes: Notes | None = None, attempt: int = 1) -> LiveReply[DiscordPart]:
    notes = notes or Notes()
    reply = LiveReply(QUESTION, place, DiscordReplyPolicy(place.limit_for))
    await reply.open(attempt, tuple(notes.parts), notes.record)
    return reply


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_typing_begins_at_once_and_ends_with_the_first_text() -> None:
    place = MemoryTransport()
    reply = await begun(place)
    await settled()
    assert place.typings == 1
    await reply.append("The key is here. And")
    await settled()
    assert place.texts() == ["The key is here. And"]
    assert place.typing._task is not None
    assert place.typing._task.cancelled()
    await reply.finish(FinalAnswer("The key is here."))


async def test_the_place_in_the_queue_becomes_the_answer() -> None:
    place = MemoryTransport()
    reply = await begun(place)
    await reply.waiting(3, 20.0, "You are number 3.")
    await settled()
    assert place.texts() == ["You are number 3."]
    await reply.waiting(2, 10.0, "You are number 2.")
    await settled()
    assert place.texts() == ["You are number 2."]
    await reply.finish(FinalAnswer("Shelf Heron."))
    assert place.texts() == ["Shelf Heron."]
    assert place.requests.count("send") == 1


async def test_a_deleted_answer_stops_the_making_of_it() -> None:
    place = MemoryTransport()
    reply = await begun(place)
    await reply.append("The key is here. ")
    await settled()
    place.parts.clear()
    await reply.append("It hangs on a hook. ")
    await settled()
    with pytest.raises(ReplyFailed, match="deleted"):
        await reply.append("By the door.")
    await reply.abandon()


async def test_a_refusal_in_the_middle_is_reported_once_with_the_messages_that_stand_there() -> None:
    place = MemoryTransport()
    reply = await begun(place)
    await reply.append("The key is here. ")
    await settled()
    place.refuses_with = "The server's AutoMod blocked the answer."
    await reply.append("It hangs on a hook. ")
    await settled()
    assert place.reported == [(list(place.parts), place.refuses_with)]
    with pytest.raises(ReplyFailed, match="AutoMod"):
        await reply.append("By the door.")
    with pytest.raises(ReplyFailed, match="AutoMod"):
        await reply.fail("The platform refuses the answer.")
    assert len(place.reported) == 1


async def test_a_growing_table_is_edited_in_place_and_never_shown_raw() -> None:
    place = Watched()
    reply = await begun(place)
    text = "Here:\n\n| Name | Place |\n|---|---|\n" + "".join(f"| Thing {n} | shelf {n} |\n" for n in range(20))
    for start in range(0, len(text), 11):
        await reply.append(text[start : start + 11])
        await settled()
    await reply.finish(FinalAnswer(text))
    assert all("|" not in page for pages in place.seen for page in pages)
    assert place.requests.count("send") == 1
    assert "Thing 19  shelf 19" in place.texts()[0]


class Watched(MemoryTransport):
    """Keeps what was shown after each request."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[str]] = []

    async def send(self, part: DiscordPart, request_id: str) -> str:
        posted = await super().send(part, request_id)
        self.seen.append(self.texts())
        return posted

    async def edit_message(self, platform_id: str, part: DiscordPart, request_id: str) -> None:
        await super().edit_message(platform_id, part, request_id)
        self.seen.append(self.texts())


ITEM = "- See [the page about shelf {0}](https://example.org/shelves/{0}/what-lies-on-it), and `label {0}`.\n"
CODE = "\n```python\n" + "".join(f"print('shelf {number}')\n" for number in range(120)) + "```\n\n"
LONG = "".join(ITEM.format(number) for number in range(45)) + CODE + "".join(ITEM.format(n) for n in range(45, 90))


async def test_lists_links_and_code_are_whole_on_both_sides_of_every_split_also_while_streaming() -> None:
    place = Watched()
    reply = await begun(place)
    for start in range(0, len(LONG), 37):
        await reply.append(LONG[start : start + 37])
        await settled()
    await reply.finish(FinalAnswer(LONG))
    assert len(place.seen) > 50
    assert len(place.texts()) >= 5
    for pages in place.seen:
        for page in pages:
            assert len(page) <= CONTENT_CHARACTERS
            assert page.count("```") % 2 == 0
        for page in pages[:-1]:  # the last one still grows
            for line in page.splitlines():
                assert not line.startswith("- ") or ITEM_LINE.fullmatch(line), line
            assert page.count("[the page") == len(LINK.findall(page))
    shown = "".join("".join(place.texts()).replace("```python", "").replace("```", "").split())
    assert shown == "".join(LONG.replace("```python", "").replace("```", "").split())


async def test_buttons_and_pictures_are_under_the_last_message_only() -> None:
    place = MemoryTransport()
    reply = await begun(place)
    await reply.working()
    await reply.append("word " * 600 + ". ")
    await settled()
    assert [part.buttons for part in place.parts.values()] == ["none", "running"]
    chart = Attachment("chart.png", "image/png", b"png")
    await reply.finish(FinalAnswer("word " * 600, timings=Timings(total_s=1.0), pictures=(chart,)))
    assert [(part.buttons, part.pictures) for part in place.parts.values()] == [("none", ()), ("ended", (chart,))]


async def test_only_what_waits_or_works_can_be_stopped_and_tried_again() -> None:
    command, answer = MemoryTransport(), MemoryTransport()
    reply = await begun(command)
    await reply.replace("Reading documents.")
    await settled()
    assert [part.buttons for part in command.parts.values()] == ["none"]
    await reply.fail("The documents could not be read.")
    assert [part.buttons for part in command.parts.values()] == ["none"]
    reply = await begun(answer)
    await reply.waiting(2, None, "You are number 2.")
    await settled()
    assert [part.buttons for part in answer.parts.values()] == ["running"]
    await reply.fail("The model could not answer.")
    assert [part.buttons for part in answer.parts.values()] == ["ended"]


async def test_a_message_of_long_ago_gets_its_last_text_alone() -> None:
    place, notes = MemoryTransport(), Notes()
    place.age = timedelta(hours=2)
    reply = await begun(place, notes)
    await reply.finish(FinalAnswer("The first."))
    again = await begun(place, notes, attempt=2)
    for piece in ("The second. ", "And more. ", "And more. "):
        await again.append(piece)
        await settled()
    assert place.texts() == ["The first."]
    await again.finish(FinalAnswer("The second."))
    assert place.texts() == ["The second."]
    assert place.requests.count("edit") == 1


async def test_starting_over_keeps_the_message() -> None:
    place = MemoryTransport()
    reply = await begun(place)
    await reply.append("The first. ")
    await settled()
    await reply.replace("")
    await reply.working()
    await settled()
    assert place.typings == 2
    await reply.append("The second.")
    await reply.finish(FinalAnswer("The second."))
    assert place.texts() == ["The second."]
    assert place.requests.count("send") == 1
