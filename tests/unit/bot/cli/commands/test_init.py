"""The first config: it can be loaded, and names the folder and the model."""

from pathlib import Path

import pytest

from bot.cli.commands.init import collection_name, config_text
from bot.config.loading import load_config
from models.recommended import KNOWN_MODELS


@pytest.mark.parametrize("model", KNOWN_MODELS, ids=lambda model: model.title)
@pytest.mark.parametrize("name", ["household", "Notre Maison", "a: b #\"c'", "日本"])
def test_a_first_config_can_be_loaded(tmp_path: Path, model: object, name: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(config_text(tmp_path / name, model), encoding="utf-8")  # type: ignore[arg-type]
    config = load_config(file)
    assert config.weights.chat == model.weights  # type: ignore[attr-defined]
    (collection,) = config.knowledge.collections.values()
    assert (collection.folder, collection.readers) == (tmp_path / name, ("console",))


@pytest.mark.parametrize(
    ("folder", "name"), [("/srv/Notre Maison", "notre-maison"), ("/srv/日本", "documents"), ("/", "documents")]
)
def test_a_collection_is_named_after_its_folder(folder: str, name: str) -> None:
    assert collection_name(Path(folder)) == name
