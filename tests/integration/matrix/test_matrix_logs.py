"""A conversation on Matrix with everything logged that can be: its texts are in no log."""

from collections.abc import Awaitable, Callable

from deploy.dev.homeserver import Person, SynapseServer
from tests.fakes.logs import captured_log
from tests.fakes.matrix_resident import MatrixInstance


async def test_no_text_of_a_conversation_is_in_the_log(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Callable[..., Awaitable[Person]]
) -> None:
    with captured_log() as log:
        await resident.start()
        ana = await enter(homeserver, "ana")
        room = await ana.direct(resident.user_id)
        await ana.say(room, "Where is the QUESTIONWORD?")
        await ana.until(lambda: any("drive" in each.body for each in ana.timeline.shown(room, resident.user_id)))
    raw, written = log.raw.getvalue(), log.written.getvalue()
    assert len(raw) > len(written), "the libraries were told to write everything"
    assert [word for word in ("QUESTIONWORD", "The drive is there") if word in written] == []
