"""Measures search with three embedders on judged sets in the layout of BEIR; prints the tables of docs/knowledge.md.

    python -m tests.benchmarks.embedders SETS DATA [EMBEDDER ...]

SETS holds one folder a set; DATA keeps the indexes between runs. The embedders: `default`, `multilingual`, `hashing`.
The first run embeds everything, the multilingual one at about four passages a second.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from knowledge.embedding import Embedder, HashingEmbedder, build_embedder
from knowledge.evaluation.judged_set import find_sets, read_set
from knowledge.evaluation.retrieval_evaluation import SetEvaluation, evaluate_set, write_placeholder
from knowledge.evaluation.set_reader import SetReader
from knowledge.library import Library
from knowledge.settings import CollectionSettings, EmbeddingSettings, KnowledgeSettings
from models.defaults import DEFAULT_EMBEDDING
from models.weights import fetch_weights_folder
from tests.fakes.multilingual import SOURCES, MultilingualEmbedder

CACHE = Path(os.environ.get("HEARTH_CACHE") or "~/.cache/hearth").expanduser()
_COLLECTION = "set"


async def default() -> Embedder:
    """The default embedding model."""
    folder = await fetch_weights_folder(DEFAULT_EMBEDDING, CACHE, lambda progress: None)
    return build_embedder(EmbeddingSettings(), folder, CACHE)


async def multilingual() -> Embedder:
    """multilingual-e5-small in 4 bits."""
    return MultilingualEmbedder(await fetch_weights_folder(SOURCES, CACHE, lambda progress: None))


async def hashing() -> Embedder:
    """Feature hashing."""
    return HashingEmbedder()


EMBEDDERS: Mapping[str, Callable[[], Awaitable[Embedder]]] = {
    "default": default,
    "multilingual": multilingual,
    "hashing": hashing,
}


async def measure(folder: Path, embedder: Embedder, data: Path) -> SetEvaluation:
    """The figures of one set with one embedder."""
    judged = read_set(folder)
    write_placeholder(data / "documents", judged)
    settings = KnowledgeSettings(collections={_COLLECTION: CollectionSettings(folder=data / "documents")})
    reader = SetReader(judged.documents, settings.reading.passage_characters)
    library = await Library.open(settings, embedder, reader, data)
    try:
        return await evaluate_set(library, judged, _COLLECTION, on_progress=_print_progress)
    finally:
        await library.close()


def _print_progress(phase: str, done: int, total: int) -> None:
    print(f"{phase} {done} of {total}   ", end="\r", file=sys.stderr)


def print_row(name: str, result: SetEvaluation) -> None:
    """One line: nDCG@10 of each ranking, how far the fused one is above the better single one, and times."""
    figures = {ranking: each.ndcg_at_10 for ranking, each in result.rankings.items()}
    gain = figures["fused"] - max(figures["lexical"], figures["vector"])
    row = "  ".join(f"{ranking} {figure:.3f}" for ranking, figure in figures.items())
    print(f"{name} {result.name}: {row}  gain {gain:+.3f}  total p95 {result.times['total'].p95_s * 1000:.0f} ms")
    print(json.dumps({"embedder": name, **asdict(result)}), flush=True)


async def main(sets: Path, data: Path, *names: str) -> None:
    """Measure each embedder on each set."""
    for name in names or EMBEDDERS:
        embedder = await EMBEDDERS[name]()
        for folder in sorted(find_sets(sets), key=lambda each: (each / "corpus.jsonl").stat().st_size):
            home = data / name / folder.name
            home.mkdir(parents=True, exist_ok=True)
            print_row(name, await measure(folder, embedder, home))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
