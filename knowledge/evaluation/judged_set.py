"""Judged set in the layout of BEIR: a corpus, questions, and the documents that are relevant to each."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_QRELS = ("qrels.tsv", "qrels/test.tsv", "qrels/dev.tsv", "qrels/train.tsv")
"""Where judgments are looked for, in this order."""


@dataclass(eq=False)
class JudgedSetInvalid(Exception):
    """A folder that holds no judged set; `reason` is a sentence with the file and, where there is one, the line."""

    user_facing = True
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class JudgedDocument:
    """A document of the corpus."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class JudgedQuestion:
    """A question with its judgments: grades above 0 of relevant documents, by id."""

    id: str
    text: str
    grades: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """A folder with `corpus.jsonl`, `queries.jsonl` and `qrels.tsv` (or `qrels/test.tsv`, as BEIR has it).

    `questions` are those with at least one relevant document in the corpus, in the order of the file.
    """

    name: str
    documents: tuple[JudgedDocument, ...]
    questions: tuple[JudgedQuestion, ...]


def find_sets(folder: Path) -> list[Path]:
    """The folder itself if it holds a judged set, or else its subfolders that do, by name. Raises JudgedSetInvalid."""
    if not folder.is_dir():
        raise JudgedSetInvalid(f"{folder} is no folder.")
    found = [path.parent for path in [folder / "corpus.jsonl", *sorted(folder.glob("*/corpus.jsonl"))] if path.exists()]
    if not found:
        raise JudgedSetInvalid(
            f"{folder} holds no judged set, nor does a folder in it: corpus.jsonl, queries.jsonl, qrels.tsv."
        )
    return found[:1] if found[0] == folder else found


def read_set(folder: Path) -> JudgedSet:
    """Read a judged set. Raises JudgedSetInvalid."""
    documents = tuple(
        JudgedDocument(row["_id"], row.get("title") or "", row["text"]) for row in _rows(folder / "corpus.jsonl")
    )
    known = {document.id for document in documents}
    if len(known) < len(documents):
        raise JudgedSetInvalid(f"{folder / 'corpus.jsonl'}: some documents have the same _id.")
    grades = _judgments(folder, known)
    questions = tuple(
        JudgedQuestion(row["_id"], row["text"], grades[row["_id"]])
        for row in _rows(folder / "queries.jsonl")
        if row["_id"] in grades
    )
    if not questions:
        raise JudgedSetInvalid(f"{folder}: no question has a relevant document in the corpus.")
    return JudgedSet(folder.absolute().name, documents, questions)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            valid = isinstance(row, dict) and isinstance(row["_id"], str) and isinstance(row["text"], str)
        except (ValueError, KeyError, RecursionError):
            valid = False
        if not valid:
            raise JudgedSetInvalid(f"{path}, line {number}: a JSON object with the texts `_id` and `text` is needed.")
        yield row


def _judgments(folder: Path, known: set[str]) -> dict[str, dict[str, int]]:
    path = next((folder / name for name in _QRELS if (folder / name).exists()), None)
    if path is None:
        raise JudgedSetInvalid(f"{folder} has no judgments: qrels.tsv or qrels/test.tsv is needed.")
    grades: dict[str, dict[str, int]] = {}
    rows = csv.reader(_text(path).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    for number, row in enumerate(rows, start=1):
        if not row or (number == 1 and not _is_grade(row[-1])):
            continue  # the header
        # trec_eval's layout has a column `0` between question and document.
        if len(row) not in (3, 4) or not _is_grade(row[-1]):
            raise JudgedSetInvalid(
                f"{path}, line {number}: question, document and grade are needed, with tabs between."
            )
        question, document, grade = row[0], row[-2], int(float(row[-1]))
        if grade > 0 and document in known:
            grades.setdefault(question, {})[document] = grade
    return grades


def _is_grade(text: str) -> bool:
    try:
        return float(text) == int(float(text))
    except (ValueError, OverflowError):
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise JudgedSetInvalid(f"{path} is missing.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise JudgedSetInvalid(f"{path} cannot be read: {error}.") from error
