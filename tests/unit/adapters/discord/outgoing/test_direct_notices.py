"""Direct messages about what cannot be said in a channel."""

from typing import Any, cast

import discord

from adapters.discord.outgoing import direct_notices
from adapters.discord.outgoing.direct_notices import DirectNotices
from tests.fakes.discord_errors import refusal

ANA, BEN = 1, 2


class Post:
    """Fills what is needed of a client, and of the channel of a direct message. `refuses`: with which error."""

    def __init__(self) -> None:
        self.tried: list[int] = []
        self.sent: list[str] = []
        self.refuses: discord.HTTPException | ConnectionError | None = None

    async def create_dm(self, user: discord.Object) -> "Post":
        self.tried.append(user.id)
        return self

    async def send(self, sentence: str, **_: Any) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.sent.append(sentence)


class Scene:
    def __init__(self) -> None:
        self.now = 1000.0
        self.post = Post()
        self.notices = DirectNotices(cast(discord.Client, self.post), lambda: self.now)


async def test_one_person_gets_one_message_a_while() -> None:
    scene = Scene()
    for number in range(8):
        await scene.notices.send(ANA, f"to ana {number}")
    await scene.notices.send(BEN, "to ben")
    assert scene.post.sent == ["to ana 0", "to ben"]
    scene.now += direct_notices.NOTICE_PAUSE_S
    await scene.notices.send(ANA, "to ana again")
    assert scene.post.sent[-1] == "to ana again"


async def test_a_person_who_accepts_none_is_left_alone() -> None:
    scene = Scene()
    scene.post.refuses = refusal(403, 50007)
    await scene.notices.send(ANA, "one")
    scene.now += direct_notices.NOTICE_PAUSE_S
    await scene.notices.send(ANA, "two")
    assert scene.post.tried == [ANA]
    scene.now += direct_notices.CLOSED_PAUSE_S
    await scene.notices.send(ANA, "three")
    assert scene.post.tried == [ANA, ANA]


async def test_a_broken_connection_fails_nothing() -> None:
    scene = Scene()
    scene.post.refuses = ConnectionResetError()
    await scene.notices.send(ANA, "one")
    assert scene.post.sent == []
