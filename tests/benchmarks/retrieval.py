"""Measures search on judged sets in the layout of BEIR, through the real library; prints the tables of decision 0003.

    python -m tests.benchmarks.retrieval SETS EMBEDDING_FILES DATA

SETS holds one folder a set with corpus.jsonl, queries.jsonl and qrels.tsv, named like `piaf-fr`; EMBEDDING_FILES is the
default embedding model; DATA keeps the index between runs. The first run embeds everything, which takes minutes.
"""

import asyncio
import json
import math
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from knowledge.embedding import build_embedder
from knowledge.library import Library
from knowledge.passages import Hit, PassageLocation
from knowledge.reader import PassageDraft, ReadDocument, SourceFile
from knowledge.settings import CollectionSettings, EmbeddingSettings, KnowledgeSettings

DEPTH = 10
CANDIDATES = 200
THRESHOLDS = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6)

Ranking = Callable[[Sequence[Hit]], list[str]]


class SetReader:
    """A Reader for one line of a corpus: a file holds one document, which is one passage."""

    async def read_file(self, source: SourceFile) -> list[ReadDocument]:
        """The document, in the language its set's name ends with."""
        lines = [json.loads(line) for line in (source.folder / source.document).read_text("utf-8").splitlines()]
        language = (source.folder / source.document).parent.name.rpartition("-")[2]
        return [
            ReadDocument(
                row["_id"],
                row["title"],
                language,
                (PassageDraft(PassageLocation(end=len(row["text"])), row["text"].strip()),),
            )
            for row in lines
            if not source.template or _kept(row["title"])
        ]

    async def close(self) -> None:
        """Nothing to end."""


@dataclass(frozen=True)
class Question:
    """A question, and its relevant documents."""

    text: str
    relevant: frozenset[str]


def _kept(title: str) -> bool:
    """Half of all titles: what is asked of the others cannot be answered from the half collection."""
    return sum(title.encode()) % 2 == 0


def questions(folder: Path) -> list[Question]:
    """The questions of a set."""
    relevant: dict[str, set[str]] = defaultdict(set)
    for line in (folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, _ = line.split("\t")
        relevant[query].add(document)
    rows = [json.loads(line) for line in (folder / "queries.jsonl").read_text("utf-8").splitlines()]
    return [Question(row["text"], frozenset(relevant[row["_id"]])) for row in rows]


def ranked_by(name: str) -> Ranking:
    """One ranker's own order."""
    return lambda hits: [hit.passage.document for hit in sorted(hits, key=lambda h: h.ranks.get(name, math.inf))]


def reciprocal(hits: Sequence[Hit]) -> list[str]:
    """Reciprocal rank fusion with k = 60, the usual baseline."""
    scores = {hit.passage.document: sum(1 / (60 + rank) for rank in hit.ranks.values()) for hit in hits}
    return sorted(scores, key=lambda document: -scores[document])


RANKINGS: Mapping[str, Ranking] = {
    "bm25": ranked_by("bm25"),
    "vector": ranked_by("vector"),
    "rrf": reciprocal,
    "fused": lambda hits: [hit.passage.document for hit in hits],
}


def ndcg(found: Sequence[str], relevant: frozenset[str]) -> float:
    """nDCG@10 with binary judgments."""
    gain = sum(1 / math.log2(place + 2) for place, name in enumerate(found[:DEPTH]) if name in relevant)
    return gain / sum(1 / math.log2(place + 2) for place in range(min(DEPTH, len(relevant))))


def recall(found: Sequence[str], relevant: frozenset[str]) -> float:
    """Share of the relevant documents among the first ten."""
    return len(relevant.intersection(found[:DEPTH])) / len(relevant)


async def measure_rankers(library: Library, name: str, asked: Sequence[Question]) -> None:
    """Print nDCG@10 and Recall@10 of each ranking."""
    totals = {ranking: [0.0, 0.0] for ranking in RANKINGS}
    for question in asked:
        result = await library.search(question.text, [name], limit=CANDIDATES)
        for ranking, order in RANKINGS.items():
            found = order(result.hits)
            totals[ranking][0] += ndcg(found, question.relevant) / len(asked)
            totals[ranking][1] += recall(found, question.relevant) / len(asked)
    print(name, "  ".join(f"{ranking} {a:.3f}/{b:.3f}" for ranking, (a, b) in totals.items()), flush=True)


async def measure_context(library: Library, name: str, asked: Sequence[Question]) -> None:
    """Print nDCG@10 of questions alone, after another question on the same document, and after one on any document."""
    by_document: dict[str, list[Question]] = defaultdict(list)
    for question in asked:
        if len(question.relevant) == 1:
            by_document[next(iter(question.relevant))].append(question)
    chance = random.Random(1)
    pairs = [pair for same in by_document.values() for pair in pairwise(same)]
    pairs = chance.sample(pairs, min(600, len(pairs)))
    if not pairs:
        return
    contexts: Mapping[str, Callable[[Question], str]] = {
        "alone": lambda before: "",
        "same": lambda before: before.text,
        "other": lambda before: chance.choice(asked).text,
    }
    for what, context in contexts.items():
        total = 0.0
        for before, question in pairs:
            result = await library.search(question.text, [name], limit=DEPTH, context=context(before))
            total += ndcg([hit.passage.document for hit in result.hits], question.relevant)
        print(f"{name} context {what}: {total / len(pairs):.3f} ({len(pairs)})", flush=True)


async def measure_support(library: Library, collection: str, asked: Sequence[str], what: str) -> None:
    """Print which share of the questions would count as supported at each threshold."""
    best = []
    for text in asked:
        hits = (await library.search(text, [collection], limit=1)).hits
        best.append(hits[0].score if hits else 0.0)
    shares = "  ".join(f"{t:.2f}: {sum(score >= t for score in best) / len(best):.3f}" for t in THRESHOLDS)
    print(f"{what} ({len(best)}) on {collection}: supported at {shares}", flush=True)


def settings(sets: Path, names: Sequence[str], *, halves: bool) -> KnowledgeSettings:
    """A collection for each set and, if asked, one for half of it."""
    collections = {name: CollectionSettings(folder=sets / name, include=("corpus.jsonl",)) for name in names}
    if halves:
        for name in names:
            collections[f"half-{name}"] = collections[name].model_copy(update={"template": "half"})
    return KnowledgeSettings(collections=collections)


async def main(sets: Path, model: Path, data: Path) -> None:
    """Index the sets and measure: first the rankers, then, with the halves beside, what counts as supported."""
    data.mkdir(exist_ok=True)
    names = sorted(path.parent.name for path in sets.glob("*/corpus.jsonl"))
    embedder = build_embedder(EmbeddingSettings(), model, data)
    asked = {name: questions(sets / name) for name in names}
    for halves in (False, True):
        library = await Library.open(settings(sets, names, halves=halves), embedder, SetReader(), data)
        try:
            await library.reindex(on_progress=lambda p: print(p.phase, p.done, p.total, end="\r", file=sys.stderr))
            if halves:
                await _measure_supports(library, sets, asked)
            else:
                for name in names:
                    await measure_rankers(library, name, asked[name])
                    await measure_context(library, name, asked[name])
        finally:
            await library.close()


async def _measure_supports(library: Library, sets: Path, asked: Mapping[str, Sequence[Question]]) -> None:
    for name, own in asked.items():
        rows = [json.loads(line) for line in (sets / name / "corpus.jsonl").read_text("utf-8").splitlines()]
        kept = {row["_id"] for row in rows if _kept(row["title"])}
        half = f"half-{name}"
        await measure_support(library, half, [q.text for q in own if q.relevant & kept], "answerable")
        await measure_support(library, half, [q.text for q in own if not q.relevant & kept], "article missing")
        for other in asked.keys() - {name}:
            await measure_support(library, name, [q.text for q in asked[other][:300]], f"asked of {other}")


if __name__ == "__main__":
    asyncio.run(main(*(Path(argument) for argument in sys.argv[1:4])))
