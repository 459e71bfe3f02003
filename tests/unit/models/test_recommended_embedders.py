"""The recommended embedders: complete entries, and a choice that fits memory and languages."""

import pytest

from models.recommended_embedders import KNOWN_EMBEDDERS, KNOWN_RERANKERS, find_embedder, recommend_embedder

_GB = 1_000_000_000


@pytest.mark.parametrize(
    ("languages", "memory", "has_gpu", "name"),
    [
        (["en"], 1, False, "all-MiniLM-L6-v2-int8"),
        (["en"], 16, False, "snowflake-arctic-embed-m-v2.0"),
        (["fr"], 1, False, "multilingual-e5-small"),
        (["fr", "en"], 2, False, "multilingual-e5-small"),
        (["de"], 8, False, "snowflake-arctic-embed-m-v2.0"),
        ([], 1, False, "multilingual-e5-small"),
        ([], 64, False, "snowflake-arctic-embed-m-v2.0"),
        (["fr"], 64, True, "bge-m3"),
        (["ja"], 0.1, False, "multilingual-e5-small"),
    ],
)
def test_the_choice_for_a_machine(languages: list[str], memory: float, has_gpu: bool, name: str) -> None:
    assert recommend_embedder(languages, int(memory * _GB), has_gpu=has_gpu).name == name


def test_only_free_models_are_recommended() -> None:
    for memory in (1, 4, 16, 64, 256):
        for has_gpu in (False, True):
            assert recommend_embedder((), memory * _GB, has_gpu=has_gpu).is_free


def test_every_licence_is_told() -> None:
    assert all(known.licence for known in (*KNOWN_EMBEDDERS, *KNOWN_RERANKERS))
    assert {known.name for known in KNOWN_EMBEDDERS if not known.is_free} == {
        "google/embeddinggemma-300m",
        "jinaai/jina-embeddings-v3",
    }


def test_they_stand_in_order_of_size_under_names_of_their_own() -> None:
    for group in (KNOWN_EMBEDDERS, KNOWN_RERANKERS):
        assert [known.size_bytes for known in group] == sorted(known.size_bytes for known in group)
        assert len({known.name for known in group}) == len(group)


def test_a_model_is_found_under_its_owners_name_too() -> None:
    assert find_embedder("intfloat/Multilingual-E5-small") == find_embedder("multilingual-e5-small")
    assert find_embedder("mine") is None


def test_files_are_one_model_with_its_tokenizer() -> None:
    for known in KNOWN_EMBEDDERS:
        names = [source.name for source in known.sources]
        if names:
            assert sum(name.endswith(".onnx") for name in names) == 1
            assert {"tokenizer.json", "tokenizer_config.json"} <= set(names)
