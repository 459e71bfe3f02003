"""Nonces, names, sources and lanes."""

import asyncio

import pytest

from adapters.discord.ids import private_audience, private_conversation_id, room_audience
from adapters.discord.incoming.channel_locks import KeyedLocks
from adapters.discord.incoming.members import MemberRights, is_admin
from adapters.discord.limits import NONCE_CHARACTERS
from adapters.discord.outgoing.layout import subtext_footer
from adapters.discord.outgoing.nonce import part_nonce
from adapters.discord.settings import DiscordSettings
from bot.core.messages import Source
from knowledge.passages import PassageLocation

SNOWFLAKE = "1234567890123456789"


@pytest.mark.parametrize("event_id", [SNOWFLAKE, "x" * 60])
def test_nonces_fit_tell_parts_apart_and_are_the_same_in_every_process(event_id: str) -> None:
    made = [part_nonce(event_id, number) for number in range(100)]
    assert len(set(made)) == 100
    assert max(map(len, made)) <= NONCE_CHARACTERS
    assert made[7] == part_nonce(event_id, 7)


def test_a_thread_is_read_by_its_channel_too() -> None:
    assert room_audience(21, 20, 10).names == {"discord:21", "discord:20", "discord:guild:10"}
    assert not room_audience(21, 20, 10).private


def test_only_a_private_audience_has_roles_and_people() -> None:
    audience = private_audience(private_conversation_id(20, 1), 1, [30], [10])
    assert audience.names == {"discord:20#private:1", "discord:user:1", "discord:role:30", "discord:guild:10"}
    assert audience.private


def test_only_who_manages_the_server_is_an_admin_by_default() -> None:
    cook = MemberRights(role_ids=frozenset({30}))
    assert not is_admin(DiscordSettings(), 1, cook)
    assert is_admin(DiscordSettings(admin_users=frozenset({1})), 1, MemberRights())
    assert is_admin(DiscordSettings(admin_roles=frozenset({30})), 1, cook)
    assert is_admin(DiscordSettings(), 1, MemberRights(manages_guild=True))


def source(title: str = "Disks", **place: object) -> Source:
    where = PassageLocation(**{"heading": ("Home", "Backup"), **place})  # type: ignore[arg-type]
    return Source(2, "handbook", "disks.md", title, where, "text", 0.9)


def test_a_source_is_one_line_that_marks_cannot_break() -> None:
    assert subtext_footer("", [source(page=3)]) == "-# [2] Disks › Backup › p. 3 (handbook)"
    assert subtext_footer("", [source("a_b\n*c*")]) == r"-# [2] a\_b \*c\* › Backup (handbook)"
    assert len(subtext_footer("", [source("x" * 500)])) < 200


def test_note_and_sources_are_small_lines() -> None:
    assert subtext_footer("Read with care.", [source()]) == "-# Read with care.\n-# [2] Disks › Backup (handbook)"
    assert subtext_footer("", []) == ""


async def test_a_channel_keeps_its_order_while_another_goes_on() -> None:
    lanes, order, slow = KeyedLocks(), list[str](), asyncio.Event()

    async def message(channel: int, name: str, waits: asyncio.Event | None = None) -> None:
        async with lanes.hold_lock(channel):
            if waits:
                await waits.wait()
            order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(message(1, "first", slow))
        group.create_task(message(1, "second"))
        group.create_task(message(2, "elsewhere"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        slow.set()
    assert order == ["elsewhere", "first", "second"]
    assert not lanes._locks
