"""What all tests on the simulated Discord share: requests are checked against Discord's description of its API."""

from collections.abc import Iterator

import pytest
from simcord.http.client import FakeHTTPClient, FakeWebhookAdapter

from tests.discord_openapi import checked_requests


@pytest.fixture(autouse=True)
def requests_as_discord_describes_them() -> Iterator[None]:
    """The test fails where a request breaks a rule. The loopback fake checks its own."""
    with checked_requests(FakeHTTPClient, FakeWebhookAdapter):
        yield
