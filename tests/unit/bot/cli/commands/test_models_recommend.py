"""`hearth models recommend`: names, licences, and lines for the config."""

import json

import pytest
import yaml
from click.testing import CliRunner

from bot.cli.commands.models_recommend import recommendation_lines
from bot.cli.main import hearth
from bot.config.schema import Config
from knowledge.embedding_presets import find_preset
from models.recommended import recommend_model
from models.recommended_embedders import KNOWN_EMBEDDERS, KNOWN_RERANKERS


def test_it_tells_every_name_whole_with_its_licence() -> None:
    ran = CliRunner().invoke(hearth, ["models", "recommend", "--language", "fr", "--memory", "4"])
    assert ran.exit_code == 0
    for known in (*KNOWN_EMBEDDERS, *KNOWN_RERANKERS):
        assert known.name in ran.output
    assert "Apache-2.0" in ran.output
    assert "CC BY-NC" in ran.output


def test_as_json_it_tells_the_choice_and_all_figures() -> None:
    ran = CliRunner().invoke(hearth, ["models", "recommend", "--language", "en", "--memory", "0.5", "--json"])
    told = json.loads(ran.output)
    assert told["embedder"] == "all-MiniLM-L6-v2-int8"
    assert told["chat"]["licence"] == "Apache-2.0"
    assert {each["name"]: each["licence"] for each in told["embedders"]}["multilingual-e5-small"] == "MIT"
    assert all(each["licence"] for each in told["rerankers"])


@pytest.mark.parametrize("embedder", KNOWN_EMBEDDERS, ids=lambda embedder: embedder.name)
def test_its_lines_are_a_config_with_a_preset_and_files(embedder: object) -> None:
    from models.recommended_embedders import KnownEmbedder

    assert isinstance(embedder, KnownEmbedder)
    text = "\n".join(line.plain for line in recommendation_lines(recommend_model(8 << 30), embedder, ()))
    begin = text.index("  knowledge:")
    config = Config.model_validate(yaml.safe_load(text[begin : text.index("  Then")]))
    assert config.knowledge.embedding.model == embedder.name
    assert find_preset(embedder.name) is not None
    if embedder.sources:
        assert config.embedding_weights == embedder.sources


def test_presets_and_recommendations_agree_on_languages() -> None:
    for known in KNOWN_EMBEDDERS:
        preset = find_preset(known.name)
        assert preset is not None
        assert (preset.languages is None) == known.speaks({"fr"})
