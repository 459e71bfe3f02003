"""Hearth is killed in every phase of an answer, and still no message is lost, answered twice, or left half-done."""

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
import yaml

from tests.exactly_once.child import ROOT
from tests.exactly_once.judge import given_up, judge
from tests.exactly_once.phases import PHASES
from tests.exactly_once.remains import Entry, Remains
from tests.exactly_once.trial import Trial

DOCUMENTS = {
    "heron.md": "# The heron\n\nThe grey heron sleeps in the oak behind the storeroom.\n",
    "batteries.md": "# Batteries\n\nAll batteries are in the storeroom, on the shelf under the window.\n",
    "chene.md": "# Le chêne\n\nLe vieux chêne est à côté du puits.\n",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The config of a house with the echo engine and a small collection, already indexed."""
    (tmp_path / "documents").mkdir()
    for name, text in DOCUMENTS.items():
        (tmp_path / "documents" / name).write_text(text, encoding="utf-8")
    settings = {
        "data_folder": str(tmp_path / "data"),
        "cache_folder": str(tmp_path / "cache"),
        "log_level": "warning",
        "model": {"engine": "echo", "echo": {"tokens_per_s": 80, "first_token_s": 0.03, "capacity": 2}},
        "core": {
            "queue_notice_after_s": 0,
            "open_questions_per_person": 50,
            "when_nothing_found": "answer",
            "language": "en",
            # More than one life of Hearth hears of anew in any conversation, and less than it hears again.
            "flood_answers_per_minute": 10,
        },
        "console": {"edit_interval_s": 0.02},
        "knowledge": {
            "embedding": {"kind": "hashing", "dimension": 64},
            "collections": {"house": {"folder": str(tmp_path / "documents"), "readers": ["everyone"]}},
        },
    }
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "bot", "index", "--config", str(file)], cwd=ROOT, check=True, capture_output=True
    )
    return file


def test_20_kills_lose_nothing_and_repeat_nothing(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = kill_and_judge(config, tmp_path, capsys, kills=20, deliberate=1)
    missed = [phase for phase in PHASES if not trial.tally.hits[phase]]
    assert missed == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_200_kills_lose_nothing_and_repeat_nothing(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = kill_and_judge(config, tmp_path, capsys, kills=200, deliberate=4)
    even = 200 / len(PHASES)
    uneven = {phase: trial.tally.hits[phase] for phase in PHASES if not 0.7 * even <= trial.tally.hits[phase]}
    assert uneven == {}


def kill_and_judge(
    config: Path, folder: Path, capsys: pytest.CaptureFixture[str], kills: int, deliberate: int
) -> Trial:
    log = folder / "hearth.log"
    seed = int(os.environ.get("HEARTH_SEED") or 20)
    trial = Trial(config, folder / "data", log, seed)
    try:
        trial.run(kills, deliberate)
        code, remains = trial.conclude()
    finally:
        trial.close()
    with capsys.disabled():
        print(report(trial, remains, seed))
    assert trial.tally.kills == kills
    assert code == 0
    assert "Traceback" not in log.read_text(encoding="utf-8")
    assert [str(fault) for fault in judge(trial.platform)] == []
    assert trial.tally.damaged == []
    assert unfinished(trial, remains) == {}
    assert trial.tally.meant_to_fail <= set(given_up(trial.platform))
    return trial


def unfinished(trial: Trial, remains: Remains) -> dict[str, Entry | None]:
    """Questions whose journal entry does not say what the platform saw: one part, two turns or none, no text kept."""
    failed = set(given_up(trial.platform))

    def is_right(event_id: str, entry: Entry | None) -> bool:
        if entry is None or entry.parts != 1 or entry.keeps_text:
            return False
        state, turns = (entry.state, entry.turns)
        return (
            state == "failed" and turns == 0 and entry.crashes == 2
            if event_id in failed
            else (state == "answered" and turns == 2)
        )

    entries = {event_id: remains.entries.get(event_id) for event_id in trial.platform.questions}
    strangers = {event_id: entry for event_id, entry in remains.entries.items() if event_id not in entries}
    return {event_id: entry for event_id, entry in entries.items() if not is_right(event_id, entry)} | strangers


def report(trial: Trial, remains: Remains, seed: int) -> str:
    """The counts, for people."""
    tally, platform = trial.tally, trial.platform
    attempts = [entry.attempts for entry in remains.entries.values()]
    hits = ", ".join(f"{phase} {tally.hits[phase]}" for phase in PHASES)
    details = ", ".join(f"{count} {name}" for name, count in sorted(tally.details.items()))
    more = len(given_up(platform)) - len(tally.meant_to_fail)
    return (
        f"\n{tally.kills} kills (seed {seed}): {hits}"
        f"\n  of these: {details}"
        f"\n  {len(platform.questions)} questions, {sum(number > 1 for number in attempts)} answered in a later life "
        f"(at most {max(attempts)} attempts), {len(tally.meant_to_fail)} given up after two crashes on purpose, "
        f"{more} by chance; {platform.sends} sends, {platform.dropped} dropped as known"
        f"\n  start to first event: median {median(tally.starts_s):.2f} s, longest {max(tally.starts_s):.2f} s"
    )
