"""Opens the language model of the config."""

from bot.config.schema import Config
from bot.startup_progress import ReportStartup, StartupProgress
from models.echo import EchoEngine
from models.engine import Engine
from models.llama.engine import LlamaEngine
from models.weights import FetchProgress, fetch_weights

PERCENT = 100


async def open_engine(config: Config, on_progress: ReportStartup) -> Engine:
    """Load the configured engine. Raises WeightsUnavailable, ModelUnusable."""
    if config.model.engine == "echo":
        return EchoEngine(**config.model.echo.model_dump())

    def fetching(progress: FetchProgress) -> None:
        on_progress(StartupProgress("fetching", progress.file, progress.done_bytes, progress.total_bytes))

    def loading(part: float) -> None:
        on_progress(StartupProgress("loading", path.name, round(part * PERCENT), PERCENT))

    path = await fetch_weights(config.weights.chat, config.model_cache_folder, fetching)
    return await LlamaEngine.load(path, config.model.llama, loading, config.data_folder / "parked")
