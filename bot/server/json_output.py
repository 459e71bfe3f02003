"""Shapes of hits, reports and states as JSON, on the local socket and with --json."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from knowledge.passages import (
    CollectionState,
    FileState,
    Hit,
    LeftOut,
    Passage,
    ReindexProgress,
    ReindexReport,
    SearchResult,
    WithheldRemoval,
)

Fields = dict[str, Any]


def result_fields(result: SearchResult) -> Fields:
    """The result of a search."""
    hits = [hit_fields(hit) for hit in result.hits]
    timings = {step: round(seconds, 6) for step, seconds in result.timings.items()}
    return {"supported": result.supported, "took_s": round(result.took_s, 6), "timings": timings, "hits": hits}


def hit_fields(hit: Hit) -> Fields:
    """A passage found, its score, and where each ranker put it; the score's parts where they were asked for."""
    fields = {**passage_fields(hit.passage), "score": round(hit.score, 6), "ranks": dict(hit.ranks)}
    return {**fields, "explanation": asdict(hit.explanation)} if hit.explanation else fields


def passage_fields(passage: Passage) -> Fields:
    """A passage with its place, its text under `passage`."""
    fields = asdict(passage)
    del fields["id"]
    fields["passage"] = fields.pop("text")
    return fields


def progress_fields(progress: ReindexProgress) -> Fields:
    """The progress of a reindex."""
    return asdict(progress)


def report_fields(report: ReindexReport) -> Fields:
    """The report of a reindex."""
    return {**asdict(report), "took_s": round(report.took_s, 3)}


def state_fields(states: Iterable[CollectionState]) -> list[Fields]:
    """The state of each collection."""
    return [asdict(state) for state in states]


def file_fields(files: Iterable[FileState]) -> list[Fields]:
    """Files of the index; `read_at` is a time in ISO 8601, or null."""
    return [{**asdict(file), "read_at": _iso_time(file.read_at)} for file in files]


def left_out_fields(left_out: Iterable[LeftOut]) -> list[Fields]:
    """Files and folders that are left out of the index."""
    return [asdict(each) for each in left_out]


def _iso_time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def withheld_fields(withheld: Iterable[WithheldRemoval]) -> list[Fields]:
    """Documents that are kept until their removal is confirmed."""
    return [asdict(each) for each in withheld]
