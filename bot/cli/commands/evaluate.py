"""`hearth eval`: measures search on judged sets, with the config's embedder, reranker and passage length."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from bot.app import open_embedder, open_reranking
from bot.cli.runner import config_option, run_and_exit
from bot.cli.suggestions import SuggestingGroup
from bot.cli.terminal.output import make_console, print_json, printable
from bot.cli.terminal.startup_view import StartupView
from bot.config.schema import Config
from bot.startup_progress import ignore_progress
from knowledge.embedding import Embedder
from knowledge.evaluation.judged_set import JudgedSet, find_sets, read_set
from knowledge.evaluation.retrieval_evaluation import SetEvaluation, evaluate_set, write_placeholder
from knowledge.evaluation.set_reader import SetReader
from knowledge.library import Library
from knowledge.settings import CollectionSettings, KnowledgeSettings

_COLLECTION = "set"
_FIGURES = {
    "ndcg_at_10": "nDCG@10",
    "recall_at_10": "Recall@10",
    "recall_at_100": "Recall@100",
    "mrr_at_10": "MRR@10",
    "hit_at_1": "hit@1",
}
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class _Opening:
    """What a set's library is opened with; `data` holds a folder for each set."""

    config: Config
    embedder: Embedder
    data: Path
    on_progress: OnProgress


@click.group("eval", cls=SuggestingGroup)
def evaluate() -> None:
    """Measure how well Hearth finds."""


@evaluate.command("retrieval")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(1), help="Questions of each set to ask; all by default.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder to keep the sets' indexes in, for the next run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@config_option
def evaluate_retrieval(config: Config, folder: Path, limit: int | None, keep: Path | None, as_json: bool) -> NoReturn:
    """Measure search on the judged set in FOLDER, or on each set in a folder of it.

    A set has the layout of BEIR: corpus.jsonl, queries.jsonl, and qrels.tsv or qrels/test.tsv. It is indexed apart from
    your documents, with the config's embedder, reranker and passage length.
    """
    with tempfile.TemporaryDirectory(prefix="hearth-eval-") as temporary:
        run_and_exit(_evaluate(config, folder.absolute(), (keep or Path(temporary)).absolute(), limit, as_json))


async def _evaluate(config: Config, folder: Path, data: Path, limit: int | None, as_json: bool) -> int:
    folders = find_sets(folder)
    with StartupView() as view:
        embedder = await open_embedder(config, view)
    with _progress_bar() as on_progress:
        opening = _Opening(config, embedder, data, on_progress)
        results = [await _evaluate_set(opening, read_set(each), limit) for each in folders]
    if as_json:
        print_json({**_models(config, embedder), "sets": [asdict(result) for result in results]})
    else:
        _show(results, config, embedder)
    return 0


async def _evaluate_set(opening: _Opening, judged: JudgedSet, limit: int | None) -> SetEvaluation:
    home, knowledge = opening.data / judged.name, opening.config.knowledge
    write_placeholder(home / "documents", judged)
    settings = KnowledgeSettings(
        collections={_COLLECTION: CollectionSettings(folder=home / "documents")},
        embedding=knowledge.embedding,
        reranking=knowledge.reranking,
        reading=knowledge.reading,
    )
    reader = SetReader(judged.documents, settings.reading.passage_characters)
    reranking = await open_reranking(opening.config, ignore_progress)
    library = await Library.open(settings, opening.embedder, reader, home, reranking=reranking)
    try:
        return await evaluate_set(
            library,
            judged,
            _COLLECTION,
            limit=limit,
            on_progress=lambda phase, done, total: opening.on_progress(f"{judged.name}: {phase}", done, total),
        )
    finally:
        await library.close()


@contextmanager
def _progress_bar() -> Iterator[OnProgress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=make_console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task("", total=None)
        yield lambda what, done, total: bars.update(task, description=printable(what), completed=done, total=total)


def _models(config: Config, embedder: Embedder) -> dict[str, Any]:
    reranking = config.knowledge.reranking
    return {
        "embedder": embedder.name,
        "reranker": None if reranking.kind == "none" else reranking.model,
        "passage_characters": config.knowledge.reading.passage_characters,
    }


def _show(results: list[SetEvaluation], config: Config, embedder: Embedder) -> None:
    out = make_console()
    models = _models(config, embedder)
    reranker = models["reranker"] or "none"
    out.print(printable(f"Embedder {embedder.name}, reranker {reranker}."))
    for result in results:
        out.print()
        out.print(printable(f"{result.name}: {result.documents} documents, {result.questions} questions"))
        out.print(_figures_table(result))
        out.print(_times_sentence(result))


def _figures_table(result: SetEvaluation) -> Table:
    table = Table("ranking", box=None)
    for title in _FIGURES.values():
        table.add_column(title, justify="right")
    for name, figures in result.rankings.items():
        table.add_row(name, *(f"{getattr(figures, figure):.3f}" for figure in _FIGURES))
    return table


def _times_sentence(result: SetEvaluation) -> str:
    steps = ", ".join(
        f"{step} {times.p50_s * 1000:.1f}/{times.p95_s * 1000:.1f}" for step, times in sorted(result.times.items())
    )
    indexing = f"indexed in {result.indexing_s:.0f} s; " if result.indexing_s else ""
    return f"{indexing}milliseconds a question, median/p95: {steps}; supported {result.supported:.1%}"
