"""What `hearth index` says of what it did not read, and when it is stopped."""

import asyncio

import pytest

from bot.cli.commands import index
from bot.cli.commands.index import STOPPED, show_report
from bot.config.schema import Config
from bot.server.json_output import report_fields
from knowledge.passages import FailedDocument, LeftOut, ReindexReport


def test_what_was_left_out_and_what_was_read_in_part_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    report = ReindexReport(
        partly_read=(FailedDocument("home", "boiler.log", "Only its last 10 characters were read."),),
        left_out=(LeftOut("home", "link", "manuals/", 1),),
    )
    show_report(report_fields(report))
    assert capsys.readouterr().err.splitlines() == [
        "Left out, because they are links to another place: 1 (home/manuals/).",
        "home/boiler.log, read in part: Only its last 10 characters were read.",
    ]


def test_an_index_that_is_stopped_says_what_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def stopped(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(index, "retry_when_left", stopped)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(index._index(Config(), (), as_json=False, confirm_removals=False))
    assert capsys.readouterr().err.strip() == STOPPED
