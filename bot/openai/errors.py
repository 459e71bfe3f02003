"""What is wrong with a request, and how OpenAI's clients are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler


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


@web.middleware
async def tell_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what is not answered in the words of OpenAI's clients, which show nothing of other errors."""
    try:
        return await handler(request)
    except RequestFault as fault:
        return fault.response()
    except web.HTTPError as error:
        return _fault_of(error, request).response()


def _fault_of(error: web.HTTPError, request: web.Request) -> RequestFault:
    path = request.path[:80]
    if isinstance(error, web.HTTPNotFound):
        sentence = "The model answers at /v1/models and /v1/chat/completions: a client's base address ends in /v1."
        return RequestFault(404, f"There is nothing at {path!r}. {sentence}", code="unknown_url")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = " and ".join(sorted(error.allowed_methods))
        sentence = f"{request.method[:20]} is not answered at {path!r}, only {allowed}."
        return RequestFault(405, sentence, code="method_not_allowed", headers={"Allow": error.headers["Allow"]})
    return RequestFault(error.status, (error.text or error.reason).strip())
