"""Questions on a real homeserver are answered where they were asked."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.matrix_resident import Resident
from tests.homeserver import Homeserver, Person


@pytest.fixture
async def resident(homeserver: Homeserver, tmp_path: Path) -> AsyncIterator[Resident]:
    resident = await Resident.at(homeserver, tmp_path)
    await resident.start()
    yield resident
    await resident.stop()


async def test_a_direct_message_is_answered(homeserver: Homeserver, resident: Resident, enter) -> None:
    ana: Person = await enter(homeserver, "ana")
    room = await ana.direct(resident.user_id)
    question = await ana.say(room, "Where is the drive?")
    shown = await ana.shown(room, lambda shown: shown.sender == resident.user_id and "drive is there" in shown.body)
    assert shown.reply_to in ("", question)
    print([(s.kind, s.body, s.first) for s in ana.timeline.shown(room)])
