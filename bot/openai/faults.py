"""What is wrong with a request, and how OpenAI's clients are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(eq=False)
class RequestFault(Exception):
    """A request that is not answered. `sentence` is for the program's author, `param` names the faulty field."""

    status: int
    sentence: str
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.sentence

    def body(self) -> dict[str, object]:
        """The error object."""
        kind = "server_error" if self.status >= 500 else KINDS.get(self.status, "invalid_request_error")
        return {"error": {"message": self.sentence, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> web.Response:
        """The error as a response."""
        return web.json_response(self.body(), status=self.status, headers=self.headers)


KINDS = {401: "authentication_error", 429: "rate_limit_error"}
