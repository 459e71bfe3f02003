"""`hearth models recommend`: models that fit this machine and your languages, with their licences."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict
from typing import Any

import click
import psutil
from rich.table import Column, Table
from rich.text import Text

from bot.cli.terminal.output import format_size, make_console, print_json
from models.llama.native.libllama import ggml_library
from models.llama.plan.hardware import gpu_memory
from models.recommended import Recommendation, recommend_model
from models.recommended_embedders import KNOWN_EMBEDDERS, KNOWN_RERANKERS, KnownEmbedder, recommend_embedder

_GIGABYTE = 1_000_000_000


@click.command("recommend")
@click.option("--language", "languages", multiple=True, help="A language of your documents, such as fr; repeatable.")
@click.option("--memory", type=click.FloatRange(0.1), help="Memory in GB; this machine's by default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def recommend(languages: tuple[str, ...], memory: float | None, as_json: bool) -> None:
    """Name the models that fit this machine and your languages, with size and licence.

    Without --language the embedding model is one for any language.
    """
    graphics = gpu_memory(ggml_library()).total_bytes
    memory_bytes = int(memory * _GIGABYTE) if memory else psutil.virtual_memory().total
    wanted = {code.strip().casefold() for code in languages}
    chat = recommend_model(memory_bytes, graphics)
    embedder = recommend_embedder(wanted, memory_bytes, has_gpu=graphics > 0)
    if as_json:
        print_json(_fields(chat, embedder, memory_bytes))
    else:
        _show(chat, embedder, wanted)


def _fields(chat: Recommendation, embedder: KnownEmbedder, memory_bytes: int) -> dict[str, Any]:
    return {
        "memory_bytes": memory_bytes,
        "chat": {
            "title": chat.model.title,
            "licence": chat.model.licence,
            "size_bytes": chat.model.size_bytes,
            "on_gpu": chat.on_gpu,
            "repository": chat.model.weights.repository,
            "file": chat.model.weights.file,
        },
        "embedder": embedder.name,
        "embedders": [_embedder_fields(known) for known in KNOWN_EMBEDDERS],
        "rerankers": [asdict(known) for known in KNOWN_RERANKERS],
    }


def _embedder_fields(known: KnownEmbedder) -> dict[str, Any]:
    fields = asdict(known)
    del fields["sources"]
    return {**fields, "memory_bytes": known.memory_bytes, "free_licence": known.is_free}


def _show(chat: Recommendation, embedder: KnownEmbedder, languages: Collection[str]) -> None:
    out = make_console()
    for line in recommendation_lines(chat, embedder, languages):
        out.print(line)
    out.print()
    out.print(_embedders_table())
    out.print()
    out.print(_rerankers_table())
    out.print(
        "\nFrench and English: published nDCG@10 on MIRACL-fr and HotpotQA; words alone reach .16 and .59. Licences are"
        " those that the models' pages stated in November 2026: read the page before you rely on one."
    )


def recommendation_lines(chat: Recommendation, embedder: KnownEmbedder, languages: Collection[str]) -> Iterator[Text]:
    """The recommended models, and the lines of the config for them."""
    model = chat.model
    where = "on the graphics card" if chat.on_gpu else "on the processor"
    size = format_size(model.size_bytes)
    yield Text(f"Language model: {model.title}, {size}, {model.licence}, {where}", style="bold")
    yield Text(f"  hearth models get {model.weights.repository} {model.weights.file}")
    spoken = f"documents in {', '.join(sorted(languages))}" if languages else "documents in any language"
    size = format_size(embedder.size_bytes)
    yield Text(f"Embedding model for {spoken}: {embedder.title}, {size}, {embedder.licence}", style="bold")
    yield Text(f"  knowledge:\n    embedding:\n      model: {embedder.name}")
    yield Text("  Then `hearth models get`, and `hearth index` makes all vectors again.")


def _embedders_table() -> Table:
    titles = ("size", "languages", "French", "English", "licence")
    table = Table(_name_column("embedding model", (known.name for known in KNOWN_EMBEDDERS)), *titles, box=None)
    for known in KNOWN_EMBEDDERS:
        figures = (f"{figure:.2f}" if figure is not None else "–" for figure in (known.french, known.english))
        table.add_row(known.name, format_size(known.size_bytes), known.languages, *figures, known.licence)
    return table


def _rerankers_table() -> Table:
    names = (known.name for known in KNOWN_RERANKERS)
    table = Table(_name_column("reranker", names), "size", "languages", "licence", box=None)
    for known in KNOWN_RERANKERS:
        table.add_row(known.name, format_size(known.size_bytes), known.languages, known.licence)
    return table


def _name_column(title: str, names: Iterable[str]) -> Column:
    """A column of names that are copied into the config, and so never shortened."""
    return Column(title, min_width=max(map(len, names)), no_wrap=True)
