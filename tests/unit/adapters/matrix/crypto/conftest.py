"""A homeserver in memory for keys, and devices at it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.key_exchange import Device, KeyExchange, Make


@pytest.fixture
def exchange() -> KeyExchange:
    return KeyExchange()


@pytest.fixture
async def make(exchange: KeyExchange, tmp_path: Path) -> AsyncIterator[Make]:
    """`await make(user, name)`: a device whose keys are on the server; closed at the end of the test."""
    made: list[Device] = []

    async def make_one(user: str, device_id: str = "", *, signed_devices_only: bool = True) -> Device:
        made.append(Device(exchange, tmp_path, user, device_id, signed_devices_only=signed_devices_only))
        await made[-1].upkeep.upload_keys()
        return made[-1]

    yield make_one
    for device in made:
        device.held.close()
