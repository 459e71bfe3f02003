"""Tokens a second with guessing over without, for answers that repeat their passages and for others."""

import asyncio
import re
from pathlib import Path

from models.engine import Prompt, Usage
from models.llama.engine import LlamaEngine
from models.llama.settings import LlamaSettings
from tests.benchmarks.engine.asking import SYSTEM, ask, demo_engine
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
    async with demo_engine() as guessing, demo_engine(LlamaSettings(speculation=False)) as plain:
        tell(f"quoting: up to {guessing._loaded.limits.max_draft_tokens} tokens are drafted")
        for number in range(ROUNDS):
            for kind, question in KINDS.items():
                for passage in passages:
                    prompt = Prompt(SYSTEM, (), question.format(passage=passage))
                    ratios[kind].append(await _ratio(guessing, plain, prompt, number % 2 == 0))
    return ratios


def _passage(name: str) -> str:
    """The first sentences of a document, without headings, lists and tables."""
    lines = (DOCUMENTS / name).read_text(encoding="utf-8").splitlines()
    prose = " ".join(line for line in lines if line and not line.startswith(("#", "|", "-")))
    return " ".join(re.split(r"(?<=[.!?]) ", prose)[:SENTENCES])


async def _ratio(guessing: LlamaEngine, plain: LlamaEngine, prompt: Prompt, guessing_first: bool) -> float:
    """Asked in the order one, other, other, one: what drifts on a shared machine hits both alike."""
    order = [guessing, plain, plain, guessing] if guessing_first else [plain, guessing, guessing, plain]
    usages: dict[LlamaEngine, list[Usage]] = {guessing: [], plain: []}
    for engine in order:
        usages[engine].append((await ask(engine, prompt, "room", TOKENS)).usage)
    share = usages[guessing][0].accepted_draft_tokens / usages[guessing][0].generated_tokens
    rates = {engine: _rate(each) for engine, each in usages.items()}
    tell(f"quoting: {rates[guessing]:.1f} tokens/s with guesses ({share:.0%} right ones), {rates[plain]:.1f} without")
    return rates[guessing] / rates[plain]


def _rate(usages: list[Usage]) -> float:
    return sum(each.generated_tokens for each in usages) / sum(each.decode_s for each in usages)
