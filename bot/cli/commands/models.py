"""`hearth models`: lists and fetches the models of the config."""

from typing import Any, NoReturn

import click
from pydantic import ValidationError
from rich.text import Text

from bot.cli.commands.models_recommend import recommend
from bot.cli.runner import config_option, run_and_exit
from bot.cli.suggestions import SuggestingGroup
from bot.cli.terminal.output import format_size, make_console, print_json, printable
from bot.cli.terminal.startup_view import StartupView
from bot.config.schema import Config
from bot.startup_progress import ReportStartup, StartupProgress
from models.defaults import DEFAULT_CHAT, DEFAULT_CHAT_LICENCE
from models.gguf_split import size_of_parts
from models.recommended import KNOWN_MODELS
from models.recommended_embedders import find_embedder
from models.weights import FetchProgress, cached_path, fetch_weights
from models.weights_sources import HubSource, WeightsSource, WheelSource


@click.group(cls=SuggestingGroup)
def models() -> None:
    """The models of the config."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@config_option
def list_models(config: Config, as_json: bool) -> None:
    """List the models' files, where they come from, and whether they are here."""
    files = [_fields(use, source, config) for use, source in _configured_sources(config)]
    if as_json:
        print_json({"cache": str(config.model_cache_folder), "models": files})
        return
    if not files:
        make_console().print("The config needs no model files: its engine and its embedder have none.")
    for file in files:
        here = (
            f"{file['path']}, {format_size(file['size_bytes'])}"
            if file["path"]
            else "not here yet: `hearth models get`"
        )
        licence = f"\n  licence: {file['licence']}" if file["licence"] else ""
        told = printable(f"\n  from {file['origin']}\n  {here}{licence}")
        make_console().print(Text.assemble((f"{file['use']}: {file['name']}", "bold"), told))


models.add_command(recommend)


@models.command("get")
@click.argument("repository", required=False)
@click.argument("file", required=False)
@click.option("--revision", default="main", show_default=True, help="Branch, tag or commit of REPOSITORY.")
@config_option
def get_models(config: Config, repository: str | None, file: str | None, revision: str) -> NoReturn:
    """Fetch what the config names and is missing, and check what is here; or FILE of REPOSITORY on the model hub.

    A fetch that was interrupted goes on where it stopped.
    """
    if repository is None:
        run_and_exit(_fetch_all([source for _, source in _configured_sources(config)], config))
    source = _hub_source(repository, file, revision)
    run_and_exit(_fetch_all([source], config, _config_lines(source)))


async def _fetch_all(sources: list[WeightsSource], config: Config, ending: str = "") -> None:
    with StartupView() as view:
        paths = [await fetch_weights(source, config.model_cache_folder, _fetch_reporter(view)) for source in sources]
    for path in paths:
        make_console().print(f"{path} ({format_size(size_of_parts(path))})")
    if ending:
        make_console().print(ending)


def _hub_source(repository: str, file: str | None, revision: str) -> HubSource:
    known = {(each.weights.repository, each.weights.file): each.weights.sha256 for each in KNOWN_MODELS}
    sha256 = known.get((repository, file or "")) if revision == "main" else None
    try:
        return HubSource(repository=repository, file=file or "", revision=revision, sha256=sha256)
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors(include_url=False))
        raise click.UsageError(f"That names no file on the hub ({faults}).") from error


def _config_lines(source: HubSource) -> str:
    keys = source.model_dump(exclude_defaults=True)
    lines = "\n".join(f"    {key}: {value}" for key, value in {"source": "hf", **keys}.items())
    return f"\nTo answer with it, put this into the config:\n\nweights:\n  chat:\n{lines}"


def _fetch_reporter(on_startup_progress: ReportStartup) -> Any:
    def on_progress(progress: FetchProgress) -> None:
        on_startup_progress(StartupProgress("fetching", progress.file, progress.done_bytes, progress.total_bytes))

    return on_progress


def _configured_sources(config: Config) -> list[tuple[str, WeightsSource]]:
    chat = [("chat", config.weights.chat)] if config.model.engine == "llama" else []
    embedding = [("embedding", source) for source in config.embedding_weights]
    return [*chat, *embedding, *(("reranking", source) for source in config.reranking_weights)]


def _fields(use: str, source: WeightsSource, config: Config) -> dict[str, Any]:
    path = cached_path(source, config.model_cache_folder)
    return {
        "use": use,
        "name": source.name,
        "source": source.source,
        "origin": _origin(source),
        "path": str(path) if path else None,
        "size_bytes": size_of_parts(path) if path else None,
        "sha256": source.sha256,
        "licence": _licence(use, source, config),
    }


def _licence(use: str, source: WeightsSource, config: Config) -> str | None:
    """The licence of a model that Hearth knows; None for another."""
    if use == "embedding":
        known = find_embedder(config.knowledge.embedding.model)
        return known.licence if known and config.weights.embedding is None else None
    if source == DEFAULT_CHAT:
        return DEFAULT_CHAT_LICENCE
    files = {(each.weights.repository, each.weights.file): each.licence for each in KNOWN_MODELS}
    return files.get((source.repository, source.file)) if isinstance(source, HubSource) else None


def _origin(source: WeightsSource) -> str:
    match source:
        case HubSource():
            return f"the hub: {source.repository} ({source.revision}), {source.file}"
        case WheelSource():
            return "the package index: " + ", ".join(part.requirement for part in source.parts)
        case _:
            return f"this machine: {source.path}"
