"""What `hearth doctor` tells about Discord."""

from pathlib import Path

import pytest

from adapters.discord.connection import account
from adapters.discord.platform import DISCORD
from bot.cli.checks import check_platform
from bot.config.schema import Config, config_model
from tests.fakes.discord_server.intents import Intent
from tests.fakes.discord_wire import TOKEN_ENV, DiscordHarness


def config(folder: Path, **discord: object) -> Config:
    settings = {"enabled": True, "token_env": TOKEN_ENV, **discord}
    return config_model().model_validate({"data_folder": folder, "discord": settings})


async def told(folder: Path, *, offline: bool = False, **discord: object) -> tuple[str, str]:
    (check,) = [each async for each in check_platform(DISCORD, config(folder, **discord), offline=offline)]
    assert check.name == "discord"
    return check.status, check.sentence


async def test_a_token_that_discord_takes_is_told_with_the_bots_name(wire: DiscordHarness) -> None:
    assert await told(wire.folder) == ("ok", "Discord knows the bot as hearth.")


async def test_a_token_that_discord_does_not_take_is_a_problem_and_is_not_shown(
    wire: DiscordHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv(TOKEN_ENV, "not-the-token")
    status, sentence = await told(wire.folder)
    assert status == "problem"
    assert f"does not know the token in {TOKEN_ENV}" in sentence
    assert "not-the-token" not in sentence + caplog.text


async def test_an_intent_that_is_switched_off_is_a_problem_where_it_is_asked_for(wire: DiscordHarness) -> None:
    wire.server.settings.privileged = Intent(0)
    status, sentence = await told(wire.folder)
    assert status == "problem"
    assert "Switch on “Message Content Intent”" in sentence
    assert (await told(wire.folder, message_content=False))[0] == "ok"


@pytest.mark.parametrize("fault", ["503", "slow"])
async def test_a_discord_that_cannot_be_asked_is_a_warning(
    wire: DiscordHarness, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "TIMEOUT_S", 0.5)
    if fault == "503":
        wire.server.faults.fail(status=503)
    else:
        wire.server.faults.delay(2.0, times=1)
    status, sentence = await told(wire.folder)
    assert status == "warning"
    assert "could not be tried" in sentence


async def test_offline_discord_is_not_asked(wire: DiscordHarness) -> None:
    status, sentence = await told(wire.folder, offline=True)
    assert status == "ok"
    assert TOKEN_ENV in sentence
    assert list(wire.server.requests) == []


@pytest.mark.parametrize("offline", [False, True])
async def test_a_missing_token_is_a_problem_with_the_name_of_its_variable(
    tmp_path: Path, offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN_ENV, raising=False)
    status, sentence = await told(tmp_path, offline=offline)
    assert status == "problem"
    assert f"{TOKEN_ENV} is not set" in sentence


async def test_discord_that_is_switched_off_is_fine(tmp_path: Path) -> None:
    assert await told(tmp_path, enabled=False) == ("ok", "Discord is switched off.")
