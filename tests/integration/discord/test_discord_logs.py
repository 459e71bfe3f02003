"""A conversation on Discord with everything logged that can be: its texts are in no log."""

from tests.fakes.core import running_core
from tests.fakes.discord_wire import DiscordHarness
from tests.fakes.engine import ScriptedEngine
from tests.fakes.logs import captured_log

WORDS = ("QUESTIONWORD", "ANSWERWORD", "ATTACHMENTWORD")


async def test_no_text_of_a_conversation_is_in_the_log(wire: DiscordHarness) -> None:
    engine = ScriptedEngine(lambda _: ["The drive is on ", "shelf ANSWERWORD."])
    with captured_log() as log:
        async with (
            running_core(wire.folder, engine=engine, when_nothing_found="answer") as core,
            wire.living(core.inbox),
        ):
            await wire.ask("Where is the QUESTIONWORD?", {"pay.txt": b"ATTACHMENTWORD of ana: 5000 euros"})
            await wire.until(lambda: any("ANSWERWORD" in text for text in wire.shown))
            await core.inbox.wait_until_idle()
    raw, written = log.raw.getvalue(), log.written.getvalue()
    assert [word for word in WORDS[:2] if word in raw] == list(WORDS[:2])
    assert [word for word in (*WORDS, wire.server.token) if word in written] == []
