"""Which limits requests to Discord count against."""

import pytest

from adapters.discord.outgoing.rate_limits import route_key


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("POST", "/api/v10/channels/20/messages", "POST channels/20"),
        ("PATCH", "/api/v10/channels/20/messages/5", "PATCH channels/20"),
        ("PATCH", "/api/v10/webhooks/9/token/messages/@original", "PATCH webhooks/9/token"),
        ("POST", "/api/v10/channels/20/typing", None),
        ("GET", "/api/v10/gateway/bot", None),
    ],
)
def test_each_kind_of_request_has_its_limit_in_each_channel(method: str, path: str, key: str | None) -> None:
    assert route_key(method, path) == key
