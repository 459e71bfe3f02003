"""The next step after the demo."""

import shlex

import pytest
import yaml
from click.testing import CliRunner

from bot.cli.commands.models import _config_lines, _hub_source
from bot.cli.main import hearth
from bot.cli.next_steps import advice, program_command
from bot.config.schema import Config
from models.recommended import KNOWN_MODELS, recommend_model


@pytest.mark.parametrize(("memory", "graphics"), [(4 << 30, 0), (16 << 30, 0), (64 << 30, 0), (32 << 30, 24 << 30)])
def test_the_advice_is_a_command_that_fetches_a_model_fit_for_the_machine(memory: int, graphics: int) -> None:
    recommended = recommend_model(memory, graphics)
    text = advice(recommended, "hearth")
    (command,) = [line.strip() for line in text.splitlines() if line.startswith("  ")]
    words = shlex.split(command)
    assert words == ["hearth", "models", "get", recommended.model.weights.repository, recommended.model.weights.file]
    assert "toy" in text
    assert ("graphics card" in text) == recommended.on_gpu


def test_what_a_fetched_model_says_to_put_into_the_config_is_a_config() -> None:
    for known in KNOWN_MODELS:
        source = _hub_source(known.weights.repository, known.weights.file, "main")
        assert source == known.weights
        lines = _config_lines(source).partition("\n\n")[2]
        assert Config.model_validate(yaml.safe_load(lines)).weights.chat == source


def test_a_name_that_is_no_file_on_the_hub_is_wrong_usage() -> None:
    for arguments in (["x"], ["owner/name"], ["owner/name", "../secret"]):
        ran = CliRunner().invoke(hearth, ["models", "get", *arguments])
        assert ran.exit_code == 2
        assert "names no file on the hub" in ran.output


def test_the_program_is_named_as_it_can_be_called() -> None:
    assert program_command().endswith(("hearth", "-m bot"))
