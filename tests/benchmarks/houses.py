"""The set-ups that benchmarks run on: a config with the default models and a folder of documents."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Literal

import yaml

from bot.config.schema import Config
from models.defaults import DEFAULT_CHAT
from models.weights import fetch_weights
from tests.benchmarks.machine import ROOT

HANDBOOK = ROOT / "deploy/demo/documents"
WORDS = (
    "battery shelf drive backup garden kitchen router storeroom window heating printer cable key meter switch lamp "
    "camera server folder photo weekly nightly monday spare upstairs cellar replace check order before after every"
)


def write_config(folder: Path, documents: Path, engine: Literal["llama", "echo"] = "llama") -> Path:
    """Write a config with its data below `folder`; models come from the usual cache. The config's path."""
    settings = {
        "data_folder": str(folder / "data"),
        "log_level": "warning",
        "http": {"enabled": False},
        "model": {"engine": engine, "sampling": {"temperature": 0, "max_tokens": 128}},
        "core": {"when_nothing_found": "answer", "flood_answers_per_minute": 100_000, "language": "en"},
        "knowledge": {"collections": {"house": {"folder": str(documents), "readers": ["everyone"]}}},
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file


async def chat_model() -> Path:
    """The default chat model, fetched into the usual cache if need be."""
    return await fetch_weights(DEFAULT_CHAT, Config().model_cache_folder, lambda _: None)


def index(config: Path) -> None:
    """Index the documents of a config, in a process of its own. Raises CalledProcessError."""
    command = [sys.executable, "-m", "bot", "index", "--config", str(config)]
    subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=True)


def write_small_files(folder: Path, count: int) -> Path:
    """Write `count` Markdown files of some 300 characters, the same in every run; the folder."""
    chosen = random.Random(2)
    words = WORDS.split()
    for number in range(count):
        file = folder / f"shelf-{number % 20}" / f"note-{number}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        sentences = (" ".join(chosen.choices(words, k=8)).capitalize() + "." for _ in range(5))
        file.write_text(f"# Note {number}\n\n{' '.join(sentences)}\n", encoding="utf-8")
    return folder
