"""What both servers are asked: the same messages, the same in every run."""

import random

from tests.benchmarks import houses
from tests.benchmarks.engine.asking import SYSTEM
from tests.benchmarks.engine.beside.client import Message

TOKENS_A_SENTENCE = 13.3
"""Of the sentences below, with the default model's vocabulary."""


def text(tokens: int, seed: int) -> str:
    """Sentences of about so many tokens, other ones for each seed."""
    chosen = random.Random(seed)
    words = houses.WORDS.split()
    sentences = (
        " ".join(chosen.choices(words, k=8)).capitalize() + f" {chosen.randrange(100)}."
        for _ in range(max(1, round(tokens / TOKENS_A_SENTENCE)))
    )
    return " ".join(sentences)


def system(more: str = "") -> Message:
    """The system prompt, which all conversations begin with; `more` makes it another one."""
    return {"role": "system", "content": f"{SYSTEM} {more}".strip()}


def user(said: str) -> Message:
    """What a person says."""
    return {"role": "user", "content": said}


def assistant(said: str) -> Message:
    """What was answered."""
    return {"role": "assistant", "content": said}
