"""`hearth init`: writes a first config, for a folder of documents and a model that fits this machine."""

import json
import re
from pathlib import Path
from typing import Any

import click
import psutil

from bot.cli.runner import EXIT_FAILED
from bot.cli.terminal.output import format_size, make_console, print_errors
from models.llama.native.libllama import ggml_library
from models.llama.plan.hardware import gpu_memory
from models.recommended import KnownModel, recommend_model

TEMPLATE = """\
# Hearth's config. config.example.yaml has every key with its default and an explanation.
weights:
  chat: {weights}   # {title}, a download of {size}
knowledge:
  collections:
    {name}:
      folder: {folder}
      readers: [console]   # who may get answers from it; docs/configuration.md has the names of others
  watch: true   # index what changes in the folder while Hearth runs
"""
NEXT_STEPS = """\
{file} is written: {title} answers from the documents in {folder}, here in the terminal. Next:

  hearth models get    # {size}, once
  hearth index
  hearth chat
"""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--file", type=click.Path(path_type=Path), default=Path("config.yaml"), show_default=True)
@click.pass_context
def init(context: click.Context, folder: Path, file: Path) -> None:
    """Write a first config FILE for the documents in FOLDER, with a model that fits this machine."""
    folder = folder.absolute()
    if not folder.is_dir():
        print_errors(f"The folder {folder} does not exist.")
        context.exit(EXIT_FAILED)
    model = recommend_model(psutil.virtual_memory().total, gpu_memory(ggml_library()).total_bytes).model
    try:
        with file.open("x", encoding="utf-8") as config:
            config.write(config_text(folder, model))
    except FileExistsError:
        print_errors(f"{file} is there already, and stays as it is. Name another with --file, or change that one.")
        context.exit(EXIT_FAILED)
    except OSError as error:
        print_errors(f"{file} cannot be written: {error.strerror}.")
        context.exit(EXIT_FAILED)
    size = format_size(model.size_bytes)
    make_console().print(NEXT_STEPS.format(file=file, title=model.title, folder=folder, size=size), end="")


def config_text(folder: Path, model: KnownModel) -> str:
    """A config for one folder of documents, which the console may read, and one model."""
    weights: dict[str, Any] = {"source": "hf", **model.weights.model_dump(exclude_defaults=True)}
    return TEMPLATE.format(
        weights=json.dumps(weights),
        title=model.title,
        size=format_size(model.size_bytes),
        name=collection_name(folder),
        folder=json.dumps(str(folder), ensure_ascii=False),
    )


def collection_name(folder: Path) -> str:
    """The name of a collection after its folder."""
    return re.sub(r"[^a-z0-9_-]+", "-", folder.name.casefold()).strip("-_")[:64] or "documents"
