"""Tokens a second with guessing over without, for answers that repeat their passages and for others."""

import asyncio
import re
from collections import defaultdict
from pathlib import Path

from models.engine import Prompt, Usage
from tests.benchmarks.engine.asking import SYSTEM, ask, bench_settings, demo_engine
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell

ROUNDS, TOKENS, SENTENCES = 3, 64, 7
DOCUMENTS = Path(__file__).parents[3] / "deploy" / "demo" / "documents"
# The default model is too small to copy just anything; of these it repeats half to three quarters word by word.
PASSAGES = ("backup/backup-drive.md", "backup/spare-drives.md", "machines/batteries.md", "machines/storeroom.md")
KINDS = {
    "guessing_over_plain_quoting": 'Copy the following text exactly, without changing anything:\n\n"{passage}"',
    "guessing_over_plain_other": "{passage}\n\nNow tell a story about a dragon.",
}


def measure(folder: Path) -> Samples:
    """Both ratios for each passage in each round."""
    del folder
    return asyncio.run(_measure())


async def _measure() -> Samples:
    ratios: dict[str, list[float]] = {kind: [] for kind in KINDS}
    passages = [_passage(name) for name in PASSAGES]
    prompts = {
        kind: [Prompt(SYSTEM, (), question.format(passage=passage)) for passage in passages]
        for kind, question in KINDS.items()
    }
    for number in range(ROUNDS):
        usages: dict[tuple[bool, str, int], list[Usage]] = defaultdict(list)
        # In the order one, other, other, one: what drifts on a shared machine hits both alike. Each engine is loaded
        # for its turn alone: the threads of two would keep each other from their cores.
        for guessing in (True, False, False, True) if number % 2 else (False, True, True, False):
            async with demo_engine(bench_settings(speculation=guessing)) as engine:
                await ask(engine, prompts[next(iter(prompts))][0], "warm", TOKENS)
                for kind, those in prompts.items():
                    for place, prompt in enumerate(those):
                        usages[guessing, kind, place].append((await ask(engine, prompt, "room", TOKENS)).usage)
        for kind in KINDS:
            for place in range(len(passages)):
                ratios[kind].append(_rate(usages[True, kind, place]) / _rate(usages[False, kind, place]))
        tell(f"quoting: {', '.join(f'{kind} {ratios[kind][-1]:.2f}' for kind in KINDS)}")
    return ratios


def _passage(name: str) -> str:
    """The first sentences of a document, without headings, lists and tables."""
    lines = (DOCUMENTS / name).read_text(encoding="utf-8").splitlines()
    prose = " ".join(line for line in lines if line and not line.startswith(("#", "|", "-")))
    return " ".join(re.split(r"(?<=[.!?]) ", prose)[:SENTENCES])


def _rate(usages: list[Usage]) -> float:
    return sum(each.generated_tokens for each in usages) / sum(each.decode_s for each in usages)
