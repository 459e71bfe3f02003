"""Requests that are made again when the process that owned the data folder left before it took them."""

import pytest

from bot.cli import daemon_client
from bot.cli.daemon_client import OwnerLeft, retry_when_left
from bot.cli.runner import CliError


async def test_a_request_is_made_again_until_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_client, "RETRY_S", 0)
    tries = 0

    async def request() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OwnerLeft("It left.")
        return "done"

    assert await retry_when_left(request) == "done"
    assert tries == 3


@pytest.mark.parametrize(("error", "made"), [(OwnerLeft("It left."), daemon_client.TRIES + 1), (CliError("No."), 1)])
async def test_a_request_that_is_never_taken_or_fails_ends_with_its_sentence(
    monkeypatch: pytest.MonkeyPatch, error: CliError, made: int
) -> None:
    monkeypatch.setattr(daemon_client, "RETRY_S", 0)
    tries = 0

    async def request() -> str:
        nonlocal tries
        tries += 1
        raise error

    with pytest.raises(CliError, match=str(error)):
        await retry_when_left(request)
    assert tries == made
