"""How long both take for conversations whose turns alternate, each of them bringing its whole history."""

import asyncio
from pathlib import Path

from tests.benchmarks.engine.beside.client import Message
from tests.benchmarks.engine.beside.comparing import Rounds
from tests.benchmarks.engine.beside.prompts import assistant, system, text, user
from tests.benchmarks.engine.beside.servers import Server, both
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell

CONVERSATIONS, TURNS = 8, 5
QUESTION_TOKENS, ANSWER_TOKENS = 240, 48


def measure(folder: Path) -> Samples:
    """One round: the whole time of each, and how many tokens each computed for those that were new."""
    return asyncio.run(_measure(folder))


class _Replay:
    """The conversations with one server, whose answers become part of what it is asked next."""

    def __init__(self) -> None:
        self.talks: list[list[Message]] = [[system()] for _ in range(CONVERSATIONS)]
        self.known = [0] * CONVERSATIONS
        self.took_s = 0.0
        self.prefilled = self.new = 0

    async def turn(self, server: Server, number: int, question: str) -> None:
        """One question and its answer."""
        talk = self.talks[number]
        talk.append(user(question))
        heard = await server.client.ask(talk, ANSWER_TOKENS)
        talk.append(assistant(heard.text))
        self.took_s += heard.total_s
        self.prefilled += heard.prompt_tokens - heard.cached_tokens
        self.new += heard.prompt_tokens - self.known[number]
        self.known[number] = heard.prompt_tokens + heard.written_tokens


async def _measure(folder: Path) -> Samples:
    async with both(folder) as pair:
        replays = {server: _Replay() for server in (pair.ours, pair.theirs)}
        for turn in range(TURNS):
            for number in range(CONVERSATIONS):
                question = text(QUESTION_TOKENS, 100 * turn + number)
                for server in pair.in_turn(turn + number):
                    with pair.only(server):
                        await replays[server].turn(server, number, question)
            told = ", ".join(f"{server.name} {replay.took_s:.0f} s" for server, replay in replays.items())
            tell(f"replaying: turn {turn + 1} of {TURNS}, {told}")
        times, tokens = Rounds(pair), Rounds(pair)
        for server, replay in replays.items():
            times.note(server, replay.took_s)
            tokens.note(server, replay.prefilled / replay.new)
    return {**times.samples("replay_s"), **tokens.samples("replay_prefilled_over_new", ratio=False)}
