"""Request errors, in the format of OpenAI's clients."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler

from models.engine import EngineFailed, NotSupported, PromptTooLong, SchemaRefused

log = logging.getLogger(__name__)


@dataclass(eq=False)
class RequestError(Exception):
    """A rejected request. `sentence` is for the program's author; `param` names the faulty field."""

    user_facing = True
    status: int
    sentence: str
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.sentence

    def error_body(self) -> dict[str, object]:
        """The JSON error object."""
        kind = "server_error" if self.status >= 500 else ERROR_TYPES.get(self.status, "invalid_request_error")
        return {"error": {"message": self.sentence, "type": kind, "param": self.param, "code": self.code}}

    def to_response(self) -> web.Response:
        """The error as an HTTP response."""
        return web.json_response(self.error_body(), status=self.status, headers=self.headers)


ERROR_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into OpenAI's format, the only one whose message clients show."""
    try:
        return await handler(request)
    except RequestError as error:
        return error.to_response()
    except web.HTTPError as error:
        return _from_http_error(error, request).to_response()


def _from_http_error(error: web.HTTPError, request: web.Request) -> RequestError:
    path = request.path[:80]
    if isinstance(error, web.HTTPNotFound):
        sentence = (
            "The model answers at /v1/models, /v1/chat/completions, /v1/responses, /v1/completions and /v1/embeddings:"
            " a client's base address ends in /v1."
        )
        return RequestError(404, f"There is nothing at {path!r}. {sentence}", code="unknown_url")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = " and ".join(sorted(error.allowed_methods))
        sentence = f"{request.method[:20]} is not answered at {path!r}, only {allowed}."
        return RequestError(405, sentence, code="method_not_allowed", headers={"Allow": error.headers["Allow"]})
    return RequestError(error.status, (error.text or error.reason).strip())


def to_request_error(error: PromptTooLong | EngineFailed | TimeoutError) -> RequestError:
    """An error of the engine as an HTTP error."""
    if isinstance(error, PromptTooLong):
        sentence = f"The prompt has at least {error.prompt_tokens} tokens, and {error.limit_tokens} fit."
        return RequestError(400, sentence, "messages", "context_length_exceeded")
    if isinstance(error, NotSupported):
        return RequestError(400, str(error), error.field, "unsupported_parameter")
    if isinstance(error, SchemaRefused):
        return RequestError(400, str(error), "response_format", "invalid_schema")
    log.warning("Could not answer an API request: %s", str(error) or "the model fell silent")
    if isinstance(error, EngineFailed):
        return RequestError(500, str(error), code="engine_failed")
    return RequestError(504, "The model fell silent, and this answer was given up.", code="engine_silent")
