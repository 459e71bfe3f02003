"""What `hearth index` says of files that it does not read, and when it is stopped."""

import asyncio

import pytest

from bot.cli.commands import index
from bot.cli.commands.index import STOPPED, left_out_sentence
from bot.config.schema import Config


def test_kinds_that_are_not_read_are_counted_and_named() -> None:
    sentence = left_out_sentence({".docx": 12, ".odt": 3, "": 1})
    assert sentence == "Not read, because Hearth cannot read their kind: 12 .docx, 3 .odt, 1 without a suffix."


def test_of_many_kinds_the_rest_is_counted() -> None:
    assert left_out_sentence({f".{number}": 1 for number in range(10)}).endswith("1 .7 and 2 more kinds.")


def test_an_index_that_is_stopped_says_what_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def stopped(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(index, "retry_when_left", stopped)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(index._index(Config(), (), as_json=False, confirm_removals=False))
    assert capsys.readouterr().err.strip() == STOPPED
