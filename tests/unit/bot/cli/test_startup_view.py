"""The long steps of a start, where there is no terminal."""

import pytest

from bot.cli.startup_view import StartupView
from bot.startup_progress import StartupProgress


def test_each_quarter_of_a_step_is_told_once_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with StartupView() as view:
        for done in range(0, 101):
            view(StartupProgress("loading", "small.gguf", done, 100))
        view(StartupProgress("opening", "index"))
        view(StartupProgress("opening", "index"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Loading small.gguf 0%",
        "Loading small.gguf 25%",
        "Loading small.gguf 50%",
        "Loading small.gguf 75%",
        "Loading small.gguf 100%",
        "Opening index",
    ]


def test_a_download_tells_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    StartupView()(StartupProgress("fetching", "big\x1b.gguf", 50_000_000, 200_000_000))
    assert capsys.readouterr().err == "Fetching big.gguf 50.0 MB of 200 MB\n"
