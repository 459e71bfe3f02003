"""The registry of platforms: what it takes, what it refuses, and what importing it costs."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from adapters.console.platform import CONSOLE
from adapters.discord.platform import DISCORD
from adapters.matrix.platform import MATRIX
from bot.cli.main import COMMANDS as CLI_COMMANDS
from bot.config.schema import Config, build_config_model
from bot.platforms import COMMANDS, GROUP, SECTIONS, PlatformRegistry, load_platforms, read_platforms

NO_LIBRARY = """
import sys
from bot.cli.main import hearth
from bot.config.loading import load_config
hearth(["--help"], standalone_mode=False)
load_config(None)
print(sorted({"discord", "nio", "aiohttp"} & set(sys.modules)))
"""


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def refusal(name: str, *values: str) -> str:
    registry = read_platforms([point(name, value) for value in values])
    assert registry.platforms == ()
    (broken,) = registry.broken
    assert broken.name == name
    return broken.sentence


def test_hearths_own_platforms_are_registered_by_name() -> None:
    registry = load_platforms()
    assert {each.name: each for each in registry.platforms} == {
        "console": CONSOLE,
        "discord": DISCORD,
        "matrix": MATRIX,
    }
    assert registry.local_chat is CONSOLE
    assert registry.networked == (DISCORD, MATRIX)
    assert registry.is_complete


def test_a_platform_that_is_registered_twice_by_the_same_package_is_one() -> None:
    twice = [point("discord", "adapters.discord.platform:DISCORD")] * 2
    assert read_platforms(twice) == PlatformRegistry((DISCORD,))


def test_without_a_platform_for_local_clients_the_registry_is_not_complete() -> None:
    registry = read_platforms([point("discord", "adapters.discord.platform:DISCORD")])
    assert not registry.is_complete
    with pytest.raises(LookupError, match="make environment"):
        _ = registry.local_chat


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (
            "drum",
            "no_such_package.platform:DRUM",
            "no_such_package.platform:DRUM cannot be imported (ModuleNotFoundError",
        ),
        ("drum", "adapters.discord.platform:DRUM", "cannot be imported (AttributeError"),
        ("drum", "adapters.discord.platform:DISCORD", "is not the description of a platform of this name"),
        ("drum", "adapters.discord.settings:DiscordSettings", "is not the description of a platform of this name"),
        ("core", "adapters.discord.platform:DISCORD", "its name is reserved"),
        ("run", "adapters.discord.platform:DISCORD", "its name is reserved"),
        ("Dis-cord", "adapters.discord.platform:DISCORD", "not made of small letters, digits and _"),
    ],
)
def test_what_cannot_be_a_platform_is_named_with_the_reason(name: str, value: str, reason: str) -> None:
    sentence = refusal(name, value)
    assert sentence.startswith(f"The platform {name} cannot be used: ")
    assert reason in sentence


def test_two_packages_cannot_register_the_same_platform() -> None:
    sentence = refusal("discord", "adapters.discord.platform:DISCORD", "other.platform:DISCORD")
    assert "several packages register it (adapters.discord.platform:DISCORD, other.platform:DISCORD)" in sentence


def test_the_reserved_names_are_the_sections_and_the_commands_of_hearth_itself() -> None:
    assert set(Config.model_fields) == SECTIONS
    assert set(CLI_COMMANDS) == COMMANDS


def test_the_config_has_a_section_for_each_platform_and_no_other() -> None:
    sections = build_config_model(PlatformRegistry((DISCORD,))).model_fields
    assert sections.keys() - SECTIONS == {"discord"}
    assert sections["discord"].description == DISCORD.summary


def test_the_help_and_the_config_need_no_client_library(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NO_LIBRARY]
    environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "HOME": str(tmp_path)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "matrix" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "[]"
