"""Who reads answers in channels, threads and private conversations."""

from adapters.discord.ids import private_audience, private_conversation_id, room_audience


def test_a_thread_is_read_by_its_channel_too() -> None:
    assert room_audience(21, 20, 10).names == {"discord:21", "discord:20", "discord:guild:10"}
    assert not room_audience(21, 20, 10).private


def test_only_a_private_audience_has_roles_and_people() -> None:
    audience = private_audience(private_conversation_id(20, 1), 1, [30], [10])
    assert audience.names == {"discord:20#private:1", "discord:user:1", "discord:role:30", "discord:guild:10"}
    assert audience.private
