"""Opens the language model of the config."""

from pathlib import Path

from bot.config.schema import Config
from bot.startup_progress import ReportStartup, StartupProgress
from models.echo import EchoEngine
from models.engine import Engine, ModelUnusable
from models.llama.engine import LlamaEngine
from models.llama.kv_cache.snapshot_folder import delete_snapshots
from models.weights import FetchProgress, fetch_weights

PERCENT = 100


async def open_engine(config: Config, on_progress: ReportStartup) -> Engine:
    """Load the configured engine. Raises WeightsUnavailable, ModelUnusable."""
    snapshots = config.data_folder / "parked"
    if config.model.engine == "echo":
        _delete_snapshots(snapshots)
        return EchoEngine(**config.model.echo.model_dump())

    def fetching(progress: FetchProgress) -> None:
        on_progress(StartupProgress("fetching", progress.file, progress.done_bytes, progress.total_bytes))

    def loading(part: float) -> None:
        on_progress(StartupProgress("loading", path.name, round(part * PERCENT), PERCENT))

    path = await fetch_weights(config.weights.chat, config.model_cache_folder, fetching)
    return await LlamaEngine.load(
        path,
        config.model.llama,
        loading,
        snapshots,
        stateless_on_disk=config.http.openai.kv_cache_on_disk,
    )


def _delete_snapshots(folder: Path) -> None:
    """Delete what another engine has left: nothing else would, and it holds texts of conversations."""
    try:
        delete_snapshots(folder)
    except OSError as error:
        raise ModelUnusable(
            f"The saved states of another engine in {folder} cannot be deleted ({error.strerror}), and they hold texts"
            " of conversations: correct the folder's permissions, or delete it.",
            str(folder),
        ) from error
