"""When Hearth answers on Discord, played on a simulated one."""

from pathlib import Path

from tests.fakes.simulated_discord import house


async def test_a_mention_in_a_channel_is_answered_in_reply_to_it(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        question = await home.ana.send(home.channel, f"{home.mention} where is the drive?")
        await home.inbox.idle()
        assert home.answers() == ["where is the drive?"]
        last = home.channel.last_message
        assert last is not None and last.reference is not None
        assert last.reference.message_id == question.id
