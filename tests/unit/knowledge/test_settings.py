from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from knowledge.settings import CollectionSettings, EmbeddingSettings, KnowledgeSettings


def test_a_collection_is_for_the_console_alone_unless_it_names_its_readers() -> None:
    assert CollectionSettings(folder=Path("docs")).readers == ("console",)


@pytest.mark.parametrize("name", ["", "Home", "-a", "a b", "../x", "é"])
def test_a_collection_name_that_is_no_simple_word_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        KnowledgeSettings(collections={name: CollectionSettings(folder=Path("docs"))})


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError):
        KnowledgeSettings.model_validate({"colections": {}})


@pytest.mark.parametrize("model", [CollectionSettings, EmbeddingSettings, KnowledgeSettings])
def test_every_setting_says_in_a_sentence_what_it_is(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


@pytest.mark.parametrize("key", ["include", "exclude"])
def test_a_pattern_that_cannot_be_matched_with_is_a_fault_of_the_config(key: str) -> None:
    with pytest.raises(ValidationError, match="runs backwards"):
        CollectionSettings.model_validate({"folder": "docs", key: ["[z-a]*.md"]})
