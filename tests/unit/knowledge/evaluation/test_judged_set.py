"""Reading of judged sets: both layouts of BEIR, and every fault named."""

import json
from pathlib import Path

import pytest

from knowledge.evaluation.judged_set import JudgedSetInvalid, find_sets, read_set

CORPUS = [{"_id": "d1", "title": "Drives", "text": "The drive."}, {"_id": "d2", "title": "", "text": "The printer."}]
QUERIES = [{"_id": "q1", "text": "drive?"}, {"_id": "q2", "text": "printer?"}, {"_id": "q3", "text": "unjudged?"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\nq2\td1\t0\nq2\tlost\t1\n"


def write_set(folder: Path, qrels: str = QRELS, where: str = "qrels.tsv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("corpus.jsonl", CORPUS), ("queries.jsonl", QUERIES)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / where).parent.mkdir(exist_ok=True)
    (folder / where).write_text(qrels)
    return folder


@pytest.mark.parametrize("where", ["qrels.tsv", "qrels/test.tsv"])
def test_a_set_is_read_with_its_relevant_judgments(tmp_path: Path, where: str) -> None:
    judged = read_set(write_set(tmp_path / "mine", where=where))
    assert judged.name == "mine"
    assert [(each.id, each.title) for each in judged.documents] == [("d1", "Drives"), ("d2", "")]
    assert [(each.id, dict(each.grades)) for each in judged.questions] == [("q1", {"d1": 1}), ("q2", {"d2": 2})]


def test_the_layout_of_trec_without_header_is_read_too(tmp_path: Path) -> None:
    judged = read_set(write_set(tmp_path, "q1\t0\td1\t1\n"))
    assert [(each.id, dict(each.grades)) for each in judged.questions] == [("q1", {"d1": 1})]


def test_a_folder_of_sets_is_several_and_a_set_is_one(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_set(tmp_path / name)
    assert find_sets(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert find_sets(tmp_path / "a") == [tmp_path / "a"]


def test_a_folder_without_a_set_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(JudgedSetInvalid, match="holds no judged set"):
        find_sets(tmp_path)
    with pytest.raises(JudgedSetInvalid, match="is no folder"):
        find_sets(tmp_path / "lost")


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        (
            "corpus.jsonl",
            '{"_id": "d1", "text": "x"}\n{"_id": 2, "text": "x"}\n',
            r"corpus\.jsonl, line 2: a JSON object",
        ),
        ("corpus.jsonl", "[1]\n", "line 1: a JSON object"),
        ("corpus.jsonl", "not json\n", "line 1: a JSON object"),
        ("corpus.jsonl", '{"_id": "d1", "text": "x"}\n' * 2, "same _id"),
        ("queries.jsonl", '{"_id": "q1"}\n', r"queries\.jsonl, line 1"),
        ("queries.jsonl", "", "no question has a relevant document"),
        ("qrels.tsv", "q1\td1\n", "no question has a relevant document"),
        ("qrels.tsv", "query\tdoc\tscore\nq1\td1\tmany\n", r"qrels\.tsv, line 2: question, document and grade"),
        ("qrels.tsv", "q1\td1\t1\nq1 d1 1\n", "line 2: question, document and grade"),
    ],
)
def test_every_fault_is_named(tmp_path: Path, file: str, content: str, sentence: str) -> None:
    write_set(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(JudgedSetInvalid, match=sentence):
        read_set(tmp_path)


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_missing_or_binary_file_is_named(tmp_path: Path, file: str) -> None:
    write_set(tmp_path)
    (tmp_path / file).write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(JudgedSetInvalid, match=file):
        read_set(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(JudgedSetInvalid, match=f"{file} is missing|no judgments: {file}"):
        read_set(tmp_path)
