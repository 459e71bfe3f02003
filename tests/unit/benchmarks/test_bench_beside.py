"""What a client of both servers hears, and what is made of it."""

from pathlib import Path
from typing import cast

import pytest

from bot.config.loading import load_config
from tests.benchmarks.engine.beside.client import StreamedAnswer
from tests.benchmarks.engine.beside.comparing import Rounds
from tests.benchmarks.engine.beside.servers import Server, ServerPair, write_hearth_config
from tests.benchmarks.engine.table import ARMS
from tests.benchmarks.machine import ROOT


def server(name: str) -> Server:
    return Server(name, [], {}, "", "", Path(), cast("object", None))  # type: ignore[arg-type]


def test_an_answer_is_timed_from_the_question_and_between_its_pieces() -> None:
    heard = StreamedAnswer(10.0, "four", [11.0, 11.5, 13.0, 13.25], written_tokens=10)
    assert (heard.first_s, heard.total_s, heard.longest_gap_s) == (1.0, 3.25, 1.5)
    assert heard.tokens_per_s == 4.0


def test_hearth_is_started_with_a_config_that_it_takes(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    config = load_config(write_hearth_config(tmp_path, model, port=8080))
    assert config.weights.chat.path == model  # type: ignore[union-attr]


def test_both_go_first_in_turn() -> None:
    pair = ServerPair(server("ours"), server("theirs"))
    assert [each.name for number in range(3) for each in pair.in_turn(number)[:1]] == ["theirs", "ours", "theirs"]


def test_a_ratio_is_of_one_round() -> None:
    pair = ServerPair(server("ours"), server("theirs"))
    rounds = Rounds(pair)
    for ours, theirs in ((1.0, 2.0), (9.0, 3.0)):
        rounds.note(pair.theirs, theirs)
        rounds.note(pair.ours, ours)
    assert rounds.samples("x") == {"ours_x": [1.0, 9.0], "theirs_x": [2.0, 3.0], "ours_over_theirs_x": [0.5, 3.0]}
    assert rounds.samples("x", ratio=False).keys() == {"ours_x", "theirs_x"}


def test_a_round_that_only_one_of_them_had_is_refused() -> None:
    pair = ServerPair(server("ours"), server("theirs"))
    rounds = Rounds(pair, ours=[1.0, 2.0], theirs=[1.0])
    with pytest.raises(ValueError, match="shorter"):
        rounds.samples("x")


def test_every_arm_of_the_engine_can_be_imported_and_names_its_figures_once() -> None:
    names = [figure.name for arm in ARMS for figure in arm.figures]
    assert len(names) == len(set(names))
    assert all((ROOT / f"{arm.module.replace('.', '/')}.py").is_file() for arm in ARMS)
