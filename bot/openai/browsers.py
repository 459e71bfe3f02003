"""Access from pages in a browser (CORS): for the origins that the admin lists, and no others."""

from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_METHODS, _MAX_AGE_S = "GET, POST", "600"


def browser_access(origins: Sequence[str]) -> Middleware:
    """Answer preflight requests, and mark answers as readable, for pages of these origins under /v1.

    A page still needs a key; cookies are never used.
    """
    allowed = frozenset(origin.rstrip("/").casefold() for origin in origins)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin", "")
        if not request.path.startswith("/v1/") or origin.rstrip("/").casefold() not in allowed:
            return await handler(request)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return web.Response(status=204, headers=_preflight(request, origin))
        request[ORIGIN] = origin
        return await handler(request)

    return check


ORIGIN = web.RequestKey("hearth_origin", str)


async def mark_readable(request: web.Request, response: web.StreamResponse) -> None:
    """Before an answer is sent: let the page that asked read it."""
    if ORIGIN in request:
        response.headers["Access-Control-Allow-Origin"] = request[ORIGIN]
        response.headers["Vary"] = "Origin"


def _preflight(request: web.Request, origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", "Authorization"),
        "Access-Control-Max-Age": _MAX_AGE_S,
        "Vary": "Origin",
    }
