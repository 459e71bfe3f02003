"""The endpoint is off until the admin says who may call."""

import pytest
from pydantic import ValidationError

from bot.openai.settings import OpenAiSettings


def test_it_is_off_by_default() -> None:
    assert not OpenAiSettings().enabled


def test_it_cannot_be_on_for_nobody() -> None:
    with pytest.raises(ValidationError, match="keys must name at least one program"):
        OpenAiSettings(enabled=True)
