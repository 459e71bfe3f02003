"""The HTTP endpoints: /healthz, /readyz, /metrics, and /v1 for other programs."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from bot.config.http_settings import HttpSettings
from bot.openai.browsers import browser_access, mark_readable
from bot.openai.endpoint import OpenAiEndpoint
from bot.openai.errors import error_middleware
from bot.server.metrics import Metrics

log = logging.getLogger(__name__)

Readiness = Callable[[], Awaitable[Sequence[str]]]
"""The reasons why no question can be answered yet, as sentences; empty when ready."""


@dataclass(eq=False)
class HttpUnavailable(Exception):
    """The endpoints cannot be served; the message names the address and the remedy."""

    user_facing = True
    host: str
    port: int
    reason: str

    def __str__(self) -> str:
        return (
            f"HTTP cannot be served on {self.host} port {self.port}: {self.reason}. "
            "Set another http.port, or http.enabled to false."
        )


class HttpServer:
    """Serves the endpoints between `start` and `close`."""

    def __init__(
        self, settings: HttpSettings, metrics: Metrics, readiness: Readiness, endpoint: OpenAiEndpoint | None = None
    ) -> None:
        """`endpoint` serves /v1; None when the config disables it."""
        self._settings = settings
        self._metrics = metrics
        self._readiness = readiness
        self._endpoint = endpoint
        self._runner: web.AppRunner | None = None
        self.port = settings.port
        """The port in use, once started."""

    async def start(self) -> None:
        """Listen. Raises HttpUnavailable when the port is taken or the address is not this machine's."""
        runner = web.AppRunner(
            # A client that disconnects needs no answer: the handler is cancelled, and with it the generation.
            self._application(),
            access_log=None,
            logger=_server_log(),
            shutdown_timeout=1.0,
            handler_cancellation=True,
        )
        await runner.setup()
        site = web.TCPSite(runner, self._settings.host, self._settings.port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            reason = (error.strerror or str(error)).rpartition(": ")[2]
            raise HttpUnavailable(self._settings.host, self._settings.port, reason) from error
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening and let running requests end."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _application(self) -> web.Application:
        size = self._endpoint.max_body_bytes if self._endpoint else 1024
        outer = [browser_access(self._settings.openai.allowed_origins), error_middleware] if self._endpoint else []
        application = web.Application(middlewares=[*outer, _host_check(self._settings)], client_max_size=size)
        application.on_response_prepare.append(mark_readable)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._serve_metrics)
        if self._endpoint is not None:
            self._endpoint.add_routes(application.router)
        return application

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, request: web.Request) -> web.Response:
        reasons = list(await self._readiness())
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition_text(), headers={"Content-Type": self._metrics.content_type})


def _server_log() -> logging.Logger:
    """The logger for aiohttp's own errors."""
    server_log = logging.getLogger(f"{__name__}.server")
    server_log.addFilter(_holds_no_request)
    return server_log


def _holds_no_request(record: logging.LogRecord) -> bool:
    """Keep requests out of the log: aiohttp quotes a line that is not HTTP, which may hold a key."""
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, HttpProcessingError | web.RequestPayloadError):
        return True
    log.info("Refused a request that is not valid HTTP: %s", type(error).__name__)
    return False


def _host_check(settings: HttpSettings) -> Middleware:
    """Refuse requests under a foreign name: a web page could otherwise reach a loopback address by DNS rebinding."""
    allowed = {settings.host, *(name.casefold() for name in settings.allowed_hosts)}
    is_loopback = ip_address(settings.host).is_loopback
    if is_loopback:
        allowed |= {"localhost", "127.0.0.1", "::1"}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (is_loopback or settings.allowed_hosts) and host_name(request.host) not in allowed:
            raise web.HTTPForbidden(text="This name may not be used here; http.allowed_hosts lists those that may.\n")
        return await handler(request)

    return check


def host_name(host: str) -> str:
    """The name in a Host header, without port and brackets, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].casefold()
    return host.partition(":")[0].casefold()
