"""`hearth doctor`: checks that everything needed is there, intact, and fits."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from adapters.platform import Check
from bot.cli import checks, collection_checks, engine_checks, language_checks, reranking_checks
from bot.cli.checks import OnProgress
from bot.cli.daemon_client import DaemonEvent, connect_or_host
from bot.cli.runner import EXIT_FAILED, CliError, choose_config, error_sentences, named_config, run_and_exit
from bot.cli.terminal.output import make_console, print_json, printable
from bot.config.loading import InvalidConfig, load_config
from bot.config.schema import Config
from bot.core.errors import is_user_facing
from bot.platforms import load_platforms
from bot.startup_progress import ignore_progress
from models.weights import FetchProgress, cached_path

INDEX_TIMEOUT_S = 60
MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


@click.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Config file to check with.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all checks.")
@click.option("--offline", is_flag=True, help="Ask no chat platform whether it takes the bot's credentials.")
def doctor(config_file: Path | None, as_json: bool, offline: bool) -> NoReturn:
    """Check config, models, memory, documents, ports and platforms. Exits with 1 when there is a problem."""
    run_and_exit(_doctor(config_file, as_json, offline))


async def _doctor(config_file: Path | None, as_json: bool, offline: bool) -> int:
    file = choose_config(named_config(config_file))
    try:
        config = load_config(file)
        sentence = f"{file} is in order." if file else "No config file; the defaults are used."
        found = [Check("config", "ok", sentence), *await _run_checks(config, offline)]
    except InvalidConfig as faulty:
        found = [Check("config", "problem", line) for line in faulty.fault_lines()]
    healthy = all(check.status != "problem" for check in found)
    if as_json:
        print_json({"healthy": healthy, "checks": [asdict(check) for check in found]})
    else:
        _show(found, make_console())
    return 0 if healthy else EXIT_FAILED


async def _run_checks(config: Config, offline: bool) -> list[Check]:
    columns = (TextColumn("Checking {task.description}"), BarColumn())
    with Progress(*columns, console=make_console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task("", total=None)

        def on_progress(progress: FetchProgress) -> None:
            total = progress.total_bytes or None
            bars.update(task, description=progress.file, completed=progress.done_bytes, total=total)

        found = list(_local_checks(config, on_progress))
    found += [check async for check in checks.check_platforms(load_platforms(), config, offline=offline)]
    found.append(await reranking_checks.check_reranking(config, offline=offline))
    return [*found, *await _check_index(config)]


def _local_checks(config: Config, on_progress: OnProgress) -> Iterator[Check]:
    yield checks.check_data_folder(config)
    yield from checks.check_weights(config, on_progress)
    yield checks.check_memory(config)
    yield from engine_checks.check_engine(config)
    yield from collection_checks.check_collections(config)
    yield checks.check_http_port(config)
    yield from checks.check_api_keys(config)


async def _check_index(config: Config) -> list[Check]:
    """Counts and languages of what is indexed, from the running process or from the index itself."""
    if not checks.index_exists(config.data_folder):
        return [Check("index", "warning", "Nothing is indexed yet: `hearth index` does it.")]
    if any(cached_path(source, config.model_cache_folder) is None for source in config.embedding_weights):
        return [Check("index", "warning", "The index cannot be looked at without the embedder's files.")]
    try:
        state = await _index_state(config)
    except BaseExceptionGroup as group:
        return [_index_unusable(group)]
    except Exception as error:
        if not is_user_facing(error):
            raise
        return [_index_unusable(error)]
    return [_index_check(config, state), language_checks.check_languages(config, state["collections"])]


def _index_check(config: Config, state: DaemonEvent) -> Check:
    figures = {key: sum(each[key] for each in state["collections"]) for key in ("documents", "passages", "failed")}
    counts = ", ".join(f"{count} {key}" for key, count in figures.items())
    is_empty = bool(config.knowledge.collections) and not figures["documents"]
    notes = [*(() if is_empty else _vector_notes(state)), *_unconfigured_notes(state)]
    if figures["failed"]:
        notes.append("`hearth documents --failed` says which failed and why.")
    if partly_read := sum(each["partly_read"] for each in state["collections"]):
        notes.append(f"{partly_read} were read in part: `hearth documents --failed` says why.")
    first = "Nothing is indexed yet: `hearth index` does it." if is_empty else f"{counts}."
    return Check("index", "warning" if notes or is_empty else "ok", " ".join([first, *notes]), figures)


def _vector_notes(state: DaemonEvent) -> Iterator[str]:
    """Sentences about collections with a limited search, and the remedy of each."""
    changed = [each["name"] for each in state["collections"] if each["embedder_changed"]]
    if changed:
        names = ", ".join(changed)
        yield f"Searched by words only, since the embedding model has changed: {names}. Run `hearth index`."
    elif not all(each["index_ready"] for each in state["collections"]):
        yield "The vectors are not all ready: run `hearth index`."


def _unconfigured_notes(state: DaemonEvent) -> Iterator[str]:
    others = ", ".join(f"{each['collection']} ({each['documents']} documents)" for each in state["unconfigured"])
    if others:
        yield f"Kept, but not searched, because the config does not name: {others}."


async def _index_state(config: Config) -> DaemonEvent:
    try:
        async with (
            asyncio.timeout(INDEX_TIMEOUT_S),
            connect_or_host(config, ignore_progress, with_model=False) as hearth,
            hearth.open_request("state") as exchange,
        ):
            async for event in exchange.read_events():
                return event
    except TimeoutError as error:
        raise CliError(f"it did not answer within {INDEX_TIMEOUT_S} seconds.") from error
    raise CliError("the process that owns it has ended.")


def _index_unusable(error: BaseException) -> Check:
    reasons = error_sentences(error) or [f"it did not say how it is ({type(error).__name__})."]
    return Check("index", "problem", f"The index cannot be opened: {' '.join(reasons)}")


def _show(found: list[Check], out: Console) -> None:
    for check in found:
        mark, colour = MARKS[check.status]
        line = Text.assemble((f"{mark} ", colour), (f"{check.name}: ", "bold"), printable(check.sentence))
        out.print(line)
