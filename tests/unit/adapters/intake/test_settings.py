"""Overrides for one channel win over the platform's settings."""

from collections.abc import Mapping

import pytest
from pydantic import Field, ValidationError

from adapters.intake.settings import ChannelSettings, ChatPlatformSettings


class Settings(ChatPlatformSettings[int]):
    overrides: Mapping[int, ChannelSettings] = Field(default_factory=dict)

    def overrides_for(self, channel: int) -> ChannelSettings | None:
        return self.overrides.get(channel)


def test_a_channel_may_differ_in_one_thing_and_be_as_the_others_in_the_rest() -> None:
    settings = Settings.model_validate(
        {"answer_in_thread": True, "recent_messages": 3, "overrides": {"20": {"recent_messages": 0}, "21": {}}}
    )
    assert [settings.recent_limit(channel) for channel in (20, 21, 22)] == [0, 3, 3]
    assert [settings.answers_in_thread(channel) for channel in (20, 21, 22)] == [True, True, True]
    apart = Settings.model_validate({"overrides": {"20": {"answer_in_thread": True}}})
    assert [apart.answers_in_thread(channel) for channel in (20, 21)] == [True, False]


@pytest.mark.parametrize("wrong", [{"recent_messages": 101}, {"enabeld": True}, {"users": {"alow": []}}])
def test_what_is_out_of_bounds_or_unknown_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(wrong)
