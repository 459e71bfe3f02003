"""`python -m tests.benchmarks.discord_crowd`: a fake Discord in a process of its own, with people who all ask at once.

It speaks with the bench in lines of JSON: where Discord is and the bot's token; then, once the bot is connected,
`{}`; then, after a line from the bench, when all is answered or time is over, what came of it (`Outcome`). It ends
when the bench does.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass

from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_server.channel import Channel
from tests.fakes.discord_server.message import Message

GUILDS, CHANNELS_A_GUILD = 2, 100
QUESTIONS_IN = {3: 10, 1: 20}
"""So many questions each in so many channels: 50 questions in 30 of the 200 channels."""

WITHIN_S = 0.9
"""In which all of them come; a second, less what a busy machine is late."""

PEOPLE = 25
LATENCY_S = 0.08
"""What each request takes on its way; a home's line to Discord takes some 50 to 150 ms."""

PATIENCE_S = 75.0
GRACE_S = 2.0
"""For what is posted although all is answered."""

WORDS = "the drive on shelf Quince waits for the weekly copy while the lamp in the cellar hums and nobody is at home"
QUESTION_WORDS = 100


@dataclass(frozen=True)
class Question:
    """A mention in a channel; `after_s` from the beginning of the second."""

    channel: Channel
    text: str
    after_s: float


@dataclass(frozen=True)
class Outcome:
    """What people saw. `out_of_order`: channels whose answers stand or end in another order than their questions."""

    asked: int
    asked_within_s: float
    unanswered: int
    doubled: int
    out_of_order: int
    most_429_a_channel: int
    requests: int
    refused_429: int
    edits: int
    took_s: float


async def main() -> None:
    """Serve, let people ask, and tell what came of it."""
    server = DiscordServer()
    server.faults.delay(LATENCY_S)
    channels = [
        server.guild(f"Guild {guild}").channel(f"room-{number}")
        for guild in range(GUILDS)
        for number in range(CHANNELS_A_GUILD)
    ]
    async with server.serving():
        tell({"url": server.world.base_url, "gateway": server.world.gateway_url, "token": server.token})
        await server.until(lambda: server.gateway.live and server.commands.names(), PATIENCE_S)
        tell({})
        await asyncio.to_thread(sys.stdin.readline)
        tell(asdict(await crowd(server, channels)))
        await asyncio.to_thread(sys.stdin.read)  # Discord is still there when the bot leaves


def tell(line: dict[str, object]) -> None:
    """One line to the bench."""
    print(json.dumps(line), flush=True)


async def crowd(server: DiscordServer, channels: list[Channel]) -> Outcome:
    """People ask, and chat in all channels besides."""
    began = time.monotonic()
    asking = [asyncio.create_task(ask(server, number, one)) for number, one in enumerate(questions(channels))]
    chatting = [asyncio.create_task(chat(server, channel)) for channel in channels]
    asked = await asyncio.gather(*asking)
    within_s = time.monotonic() - began
    await asyncio.gather(*chatting)
    while not all(map(is_answered, asked)) and time.monotonic() < began + PATIENCE_S:
        await asyncio.sleep(0.1)
    took_s = time.monotonic() - began
    await asyncio.sleep(GRACE_S)
    return outcome(server, asked, within_s, took_s)


def questions(channels: list[Channel]) -> list[Question]:
    """The questions in the order in which they come, the same in every run."""
    chosen = random.Random(3)
    places = chosen.sample(channels, sum(QUESTIONS_IN.values()))
    counts = [count for count, rooms in QUESTIONS_IN.items() for _ in range(rooms)]
    asked = [place for place, count in zip(places, counts, strict=True) for _ in range(count)]
    chosen.shuffle(asked)
    moments = sorted(chosen.uniform(0, WITHIN_S) for _ in asked)
    words = WORDS.split()
    return [
        Question(place, f"Number {number}: {' '.join(chosen.choices(words, k=QUESTION_WORDS))}?", moment)
        for number, (place, moment) in enumerate(zip(asked, moments, strict=True))
    ]


async def ask(server: DiscordServer, number: int, question: Question) -> Message:
    """Mention the bot at the question's moment."""
    await asyncio.sleep(question.after_s)
    guild = question.channel.guild
    assert guild is not None
    return await question.channel.say(guild.member(f"Person {number % PEOPLE}"), f"<@bot> {question.text}")


async def chat(server: DiscordServer, channel: Channel) -> None:
    """Say something that is not meant for the bot."""
    await asyncio.sleep(random.Random(channel.id).uniform(0, WITHIN_S))
    assert channel.guild is not None
    await channel.say(channel.guild.member("Chatterbox"), "has anybody fed the cat?")


def answers(question: Message) -> list[Message]:
    """The bot's messages in reply to a question, oldest first."""
    return [message for message in question.channel.said_by_bot if message.answers is question]


def is_answered(question: Message) -> bool:
    """Whether the whole answer stands there; the engine repeats the question, with who asked before it."""
    text = question.content.partition("> ")[2]
    return any(text in one.content and "Try again" in one.buttons for one in answers(question))


def outcome(server: DiscordServer, asked: list[Message], within_s: float, took_s: float) -> Outcome:
    """Count what people saw and what the bot requested."""
    refused = Counter(one.ids.get("channel_id", "") for one in server.requests if one.status == 429)
    by_channel: dict[Channel, list[Message]] = {}
    for question in sorted(asked, key=lambda one: one.id):
        by_channel.setdefault(question.channel, []).append(question)
    return Outcome(
        asked=len(asked),
        asked_within_s=within_s,
        unanswered=sum(not is_answered(question) for question in asked),
        doubled=sum(len(answers(question)) > 1 for question in asked),
        out_of_order=sum(not in_order(questions) for questions in by_channel.values()),
        most_429_a_channel=max(refused.values(), default=0),
        requests=len(server.requests),
        refused_429=refused.total(),
        edits=sum(one.method == "PATCH" for one in server.requests),
        took_s=took_s,
    )


def in_order(asked: list[Message]) -> bool:
    """Whether a channel's answers stand in the order of its questions, and ended in it."""
    found = [one for question in asked for one in answers(question)[:1]]
    places, ends = [one.id for one in found], [one.versions[-1].at for one in found]
    return places == sorted(places) and ends == sorted(ends)


if __name__ == "__main__":
    asyncio.run(main())
