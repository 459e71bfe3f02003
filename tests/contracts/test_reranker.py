"""What every Reranker keeps to."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from knowledge.reranking.cross_encoder import CrossEncoderReranker
from knowledge.reranking.rerank_server import ServerReranker
from knowledge.reranking.reranker import Reranker, RerankingFailed
from knowledge.reranking.settings import RerankingSettings
from tests.fakes.rerankers import RerankServer, WordReranker
from tests.fakes.tiny_onnx import write_cross_encoder

QUESTION = "which shelf holds the backup drive"
TEXTS = [
    "The printer takes paper.",
    "The backup drive is on the third shelf and the shelf holds all disks of the house, and some cables as well.",
    "A shelf",
    "",
    "Bins are collected on Tuesday morning, before eight.",
]


@pytest.fixture(params=["fake", "cross_encoder", "server"])
async def reranker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Reranker]:
    if request.param == "server":
        async with RerankServer().serve() as server:
            made: Reranker = ServerReranker(RerankingSettings(kind="server", url=server.url))
            yield made
            await made.close()
        return
    if request.param == "fake":
        made = WordReranker()
    else:
        files: Path = request.getfixturevalue("embedding_files")
        folder = write_cross_encoder(files, tmp_path / "model")
        made = CrossEncoderReranker(RerankingSettings(kind="fastembed", model="tiny"), folder, tmp_path)
    yield made
    await made.close()


async def test_each_text_gets_a_score_in_its_place(reranker: Reranker) -> None:
    scores = await reranker.score_passages(QUESTION, TEXTS)
    assert len(scores) == len(TEXTS)
    assert max(scores) == scores[1]
    assert scores[1] > scores[2] > scores[3]


async def test_a_score_does_not_depend_on_the_texts_beside_it(reranker: Reranker) -> None:
    together = await reranker.score_passages(QUESTION, TEXTS)
    alone = [(await reranker.score_passages(QUESTION, [text]))[0] for text in TEXTS]
    assert together == pytest.approx(alone, abs=1e-4)


async def test_it_may_be_prepared_first_and_again(reranker: Reranker) -> None:
    await reranker.prepare()
    await reranker.prepare()
    assert len(await reranker.score_passages(QUESTION, TEXTS)) == len(TEXTS)


async def test_no_texts_get_no_scores(reranker: Reranker) -> None:
    assert await reranker.score_passages(QUESTION, []) == []


@pytest.mark.parametrize("text", ["\x00", "a" * 20_000, "word " * 5000, "漢字 🙂"])
async def test_any_text_can_be_scored(reranker: Reranker, text: str) -> None:
    assert len(await reranker.score_passages(text, [text, "shelf"])) == 2


Broken = Callable[[Path], None]


def _truncate(folder: Path) -> None:
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:100])


def _remove(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def _garble_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_bytes(b"\x00garbage")


@pytest.mark.parametrize("damage", [_truncate, _remove, _garble_tokenizer])
async def test_a_damaged_cross_encoder_is_a_sentence(embedding_files: Path, tmp_path: Path, damage: Broken) -> None:
    folder = write_cross_encoder(embedding_files, tmp_path / "model")
    damage(folder)
    reranker = CrossEncoderReranker(RerankingSettings(kind="fastembed", model="tiny"), folder, tmp_path)
    with pytest.raises(RerankingFailed, match="The reranker tiny cannot be loaded"):
        await reranker.score_passages(QUESTION, TEXTS)
    with pytest.raises(RerankingFailed, match="The reranker tiny cannot be loaded"):
        await reranker.prepare()
    await reranker.close()


async def test_a_cross_encoder_under_any_file_name_is_found(embedding_files: Path, tmp_path: Path) -> None:
    folder = write_cross_encoder(embedding_files, tmp_path / "model", "model_int8.onnx")
    reranker = CrossEncoderReranker(RerankingSettings(kind="fastembed", model="tiny"), folder, tmp_path)
    assert len(await reranker.score_passages(QUESTION, TEXTS)) == len(TEXTS)
    await reranker.close()
