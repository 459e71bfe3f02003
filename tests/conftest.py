"""What all tests share: the policy on skips, and the small default models, fetched once into the cache folder."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from models.weights import FetchProgress

pytest_plugins = ["tests.skip_policy", "tests.parallel"]

# The same examples at every run, so that one commit is green or red; new ones in the long form (`make soak`). No
# deadline: a busy machine is not a fault.
hypothesis.settings.register_profile("house", derandomize=True, deadline=None)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("soak" if os.environ.get("HEARTH_SOAK") else "house")

# Some tests import onnxruntime by themselves, which would report to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

Fetch = Callable[[Path, Callable[["FetchProgress"], None]], Coroutine[Any, Any, Path]]


@pytest.fixture(scope="session")
def chat_model_path(request: pytest.FixtureRequest) -> Path:
    """The default chat model, a real GGUF of 98 MB."""
    # Imported here: unit tests, which need no model, start sooner.
    from models.defaults import DEFAULT_CHAT
    from models.weights import fetch_weights

    return _fetched(request, "chat model", lambda cache, tell: fetch_weights(DEFAULT_CHAT, cache, tell))


@pytest.fixture(scope="session")
def embedding_files(request: pytest.FixtureRequest) -> Path:
    """A folder with the default embedding model and its tokenizer, as fastembed reads them."""
    from models.defaults import DEFAULT_EMBEDDING
    from models.weights import fetch_weights_folder

    return _fetched(
        request, "embedding model", lambda cache, tell: fetch_weights_folder(DEFAULT_EMBEDDING, cache, tell)
    )


@pytest.fixture(scope="session")
def multilingual_files(request: pytest.FixtureRequest) -> Path:
    """A folder with the files of `tests.fakes.multilingual`, an embedder of a hundred languages."""
    from models.weights import fetch_weights_folder
    from tests.fakes.multilingual import SOURCES

    return _fetched(request, "multilingual model", lambda cache, tell: fetch_weights_folder(SOURCES, cache, tell))


def _fetched(request: pytest.FixtureRequest, what: str, start: Fetch) -> Path:
    cache = Path(os.environ.get("HEARTH_CACHE") or "~/.cache/hearth").expanduser()
    told: set[tuple[str, int]] = set()

    def tell(progress: "FetchProgress") -> None:
        percent = 100 * progress.done_bytes // max(1, progress.total_bytes)
        step = f"{what}: {progress.phase} {progress.file}", percent // 25
        if step not in told:
            told.add(step)
            with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
                print(f"\n{step[0]} {percent}%", end="", file=sys.stderr, flush=True)

    # In a thread, because pytest-asyncio may be holding a loop in this one.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(start(cache, tell))).result()
