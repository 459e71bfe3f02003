"""What every Embedder keeps to."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from knowledge.embedding import Embedder, EmbeddingFailed, FloatArray, HashingEmbedder, build_embedder
from knowledge.settings import EmbeddingSettings

Make = Callable[..., Embedder]

TEXTS = [
    "The backup drive lies on shelf Quince.",
    "The printer in the study takes A4 paper.",
    "Bins are collected on Tuesday morning.",
]


@pytest.fixture(params=["fastembed", "hashing"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Builds the embedder through the settings, as the program does."""
    kind = request.param

    def build(**changes: object) -> Embedder:
        folder = request.getfixturevalue("embedding_files") if kind == "fastembed" else None
        return build_embedder(EmbeddingSettings.model_validate({"kind": kind, **changes}), folder, tmp_path)

    return build


def lengths(vectors: FloatArray) -> list[float]:
    return list(np.linalg.norm(vectors, axis=-1))


def test_passages_become_unit_vectors_of_the_dimension(make: Make) -> None:
    embedder = make()
    vectors = embedder.embed_passages(TEXTS)
    assert vectors.shape == (3, embedder.dimension) == (3, 384)
    assert vectors.dtype == np.float32
    assert lengths(vectors) == pytest.approx([1.0] * 3, abs=1e-5)


def test_no_passages_become_no_vectors(make: Make) -> None:
    assert make().embed_passages([]).shape == (0, 384)


def test_a_question_is_nearest_to_the_passage_that_answers_it(make: Make) -> None:
    embedder = make()
    question = embedder.embed_question("On which shelf is the backup drive?")
    assert question.shape == (384,)
    assert lengths(question[None]) == pytest.approx([1.0], abs=1e-5)
    assert int(np.argmax(embedder.embed_passages(TEXTS) @ question)) == 0


@pytest.mark.parametrize("text", ["", " \n", "?!", "\x00", "a" * 20_000, "word " * 5000, "漢字 🙂"])
def test_any_text_gives_a_unit_vector_or_zeros(make: Make, text: str) -> None:
    vectors = make().embed_passages([text, TEXTS[0]])
    assert np.isfinite(vectors).all()
    assert lengths(vectors)[0] == pytest.approx(0.0) or lengths(vectors)[0] == pytest.approx(1.0, abs=1e-5)


def test_a_vector_does_not_depend_on_the_texts_beside_it(make: Make) -> None:
    embedder = make()
    together = embedder.embed_passages(TEXTS)
    alone = np.concatenate([embedder.embed_passages([text]) for text in TEXTS])
    # Dynamic quantisation scales by the largest value of a batch, so an int8 model is close, not equal.
    assert (together * alone).sum(axis=1) == pytest.approx([1.0] * 3, abs=0.02)


def test_two_threads_may_embed_at_the_same_time(make: Make) -> None:
    embedder = make()
    expected = embedder.embed_question(TEXTS[0])
    results: list[FloatArray] = []
    threads = [threading.Thread(target=lambda: results.append(embedder.embed_question(TEXTS[0]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(np.allclose(result, expected, atol=1e-5) for result in results)


def test_the_fingerprint_is_stable_and_needs_no_loading(make: Make) -> None:
    assert make().fingerprint == make().fingerprint


def test_hashing_gives_the_same_vectors_in_another_process() -> None:
    code = (
        "from knowledge.embedding import HashingEmbedder as H;"
        "print(H(64).embed_question('the backup drive').tobytes().hex())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == HashingEmbedder(64).embed_question("the backup drive").tobytes().hex()


def test_the_fingerprint_changes_with_the_dimension() -> None:
    assert HashingEmbedder(64).fingerprint != HashingEmbedder(128).fingerprint


def local(folder: Path, **changes: object) -> Embedder:
    return build_embedder(EmbeddingSettings.model_validate(changes), folder, folder)


def copy_of(files: Path, folder: Path) -> Path:
    for name in ("model.onnx", "tokenizer.json", "config.json", "special_tokens_map.json", "tokenizer_config.json"):
        (folder / name).write_bytes((files / name).read_bytes())
    return folder


def test_the_fingerprint_changes_with_the_prefix_and_the_file(embedding_files: Path, tmp_path: Path) -> None:
    copy_of(embedding_files, tmp_path)
    plain = local(tmp_path).fingerprint
    assert local(tmp_path, passage_prefix="passage: ").fingerprint != plain
    with (tmp_path / "model.onnx").open("ab") as file:
        file.write(b"x")
    assert local(tmp_path).fingerprint != plain


def test_prefixes_go_before_questions_and_passages(embedding_files: Path) -> None:
    plain = local(embedding_files)
    prefixed = local(embedding_files, question_prefix="query: ", passage_prefix="passage: ")
    assert np.allclose(prefixed.embed_question("disk"), plain.embed_question("query: disk"), atol=1e-6)
    assert np.allclose(prefixed.embed_passages(["disk"]), plain.embed_passages(["passage: disk"]), atol=1e-6)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbeddingFailed, match=r"model\.onnx cannot be read: No such file"):
        _ = local(tmp_path).fingerprint
    with pytest.raises(EmbeddingFailed, match=f"cannot be loaded from {tmp_path}"):
        local(tmp_path).embed_question("disk")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_a_damaged_model_is_a_sentence(embedding_files: Path, tmp_path: Path, name: str) -> None:
    copy_of(embedding_files, tmp_path)
    (tmp_path / name).write_bytes(b"\x00garbage" * 50)
    with pytest.raises(EmbeddingFailed, match="cannot be loaded"):
        local(tmp_path).embed_question("disk")


def test_a_wrong_dimension_says_the_right_one(embedding_files: Path) -> None:
    with pytest.raises(EmbeddingFailed, match=r"set embedding\.dimension to 384"):
        local(embedding_files, dimension=512).embed_question("disk")


def test_a_name_that_nobody_knows_is_a_sentence(tmp_path: Path) -> None:
    embedder = build_embedder(EmbeddingSettings(model="nobody/knows-it"), None, tmp_path)
    with pytest.raises(EmbeddingFailed, match="nobody/knows-it cannot be loaded by fastembed"):
        embedder.embed_question("disk")


def test_a_preset_brings_its_prefixes(embedding_files: Path) -> None:
    plain, e5 = local(embedding_files), local(embedding_files, model="multilingual-e5-small")
    assert np.allclose(e5.embed_question("disk"), plain.embed_question("query: disk"), atol=1e-6)
    assert np.allclose(e5.embed_passages(["disk"]), plain.embed_passages(["passage: disk"]), atol=1e-6)


def test_an_unknown_model_is_described_by_its_files(embedding_files: Path, tmp_path: Path) -> None:
    copy_of(embedding_files, tmp_path)
    (tmp_path / "model.onnx").rename(tmp_path / "model_int8.onnx")
    embedder = local(tmp_path, model="mine")
    assert embedder.dimension == 384
    assert embedder.embed_passages(TEXTS).shape == (3, 384)
    (tmp_path / "config.json").write_text('{"hidden_size": 128}')
    assert local(tmp_path, model="mine").dimension == 128


def test_each_text_keeps_its_place_among_texts_of_other_lengths(make: Make) -> None:
    embedder = make()
    texts = [f"{text} {'It was so yesterday too. ' * (n % 4)}" for n, text in enumerate(TEXTS * 7)]
    together = embedder.embed_passages(texts)
    alone = np.concatenate([embedder.embed_passages([text]) for text in texts])
    assert (together * alone).sum(axis=1) == pytest.approx([1.0] * len(texts), abs=0.03)
