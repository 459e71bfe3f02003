"""Serves /v1/models and /v1/chat/completions."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from aiohttp import web

from bot.core.api_completions import Completed, Completer, Completion
from bot.core.queue import Ticket, TooManyWaiting
from bot.openai import responses
from bot.openai.errors import RequestFault
from bot.openai.keys import ApiKeys
from bot.openai.requests import ChatRequest, parse
from bot.openai.settings import OpenAiSettings
from models.engine import EngineFailed, PromptTooLong, Sampling, SchemaRefused

log = logging.getLogger(__name__)

HEARTH = "hearth"
"""The model that answers from the documents; the bare model's own name answers without."""

KEEP_ALIVE_S = 10.0
"""A stream that waits says so this often: clients and proxies give up on silence."""

BODY_TIMEOUT_S = 60.0
"""How long a request may take to arrive: 4 MB take that long over 0.5 Mbit/s."""

Items = AsyncGenerator[str | Completed, None]


class OpenAiEndpoint:
    """The handlers."""

    def __init__(self, settings: OpenAiSettings, keys: ApiKeys) -> None:
        self._settings = settings
        self._keys = keys
        self._house: tuple[Completer, Sampling] | None = None

    def open(self, completer: Completer, sampling: Sampling) -> None:
        """From now on requests are answered; `sampling` is the house's own way, for what a request leaves open."""
        self._house = (completer, sampling)

    def shut(self) -> None:
        """From now on no request is answered: what answers is about to be closed."""
        self._house = None

    @property
    def body_bytes(self) -> int:
        """The largest request that is taken."""
        return self._settings.body_bytes

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        # Some clients end every address in a slash.
        router.add_get("/v1/models{_:/?}", self._models)
        router.add_get("/v1/models/{name:.+?}{_:/?}", self._model)
        router.add_post("/v1/chat/completions{_:/?}", self._complete)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self._caller(request)
        completer, _ = self._opened()
        return web.json_response(responses.models([HEARTH, completer.model]))

    async def _model(self, request: web.Request) -> web.StreamResponse:
        self._caller(request)
        return web.json_response(responses.model(self._known(request.match_info["name"])))

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        caller = self._caller(request)
        completer, _ = self._opened()
        asked = parse(await self._body(request))
        completion = self._completion(caller, asked)
        ticket = self._enter(completion)
        try:
            return await self._answer(request, asked, completion, ticket)
        finally:
            completer.leave(ticket)  # a cancelled request may not even have begun to stream

    async def _answer(
        self, request: web.Request, asked: ChatRequest, completion: Completion, ticket: Ticket
    ) -> web.StreamResponse:
        answer = responses.Answer(self._known(asked.model))
        async with aclosing(self._opened()[0].stream(completion, ticket)) as items:
            if asked.stream:
                return await _Streaming(request, asked, answer).send(items)
            text, completed = "", Completed()
            try:
                async for item in items:
                    if isinstance(item, Completed):
                        completed = item
                    else:
                        text += item
            except (PromptTooLong, EngineFailed, TimeoutError) as error:
                raise fault_of(error) from error
        text += responses.footer(completed) if _wants_footer(asked) else ""
        return web.json_response(answer.whole(text, completed))

    async def _body(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            sentence = f"The request is larger than the {self.body_bytes} bytes that are taken."
            raise RequestFault(413, sentence) from error
        except web.RequestPayloadError as error:
            raise RequestFault(400, "The request's body is not encoded as its headers say.") from error
        except TimeoutError as error:
            sentence = f"The request's body did not arrive within {BODY_TIMEOUT_S:g} s."
            raise RequestFault(408, sentence, headers={"Connection": "close"}) from error

    def _caller(self, request: web.Request) -> str:
        return self._keys.caller(request.headers.get("Authorization", ""))

    def _known(self, name: str) -> str:
        completer, _ = self._opened()
        if name not in (HEARTH, completer.model):
            names = f"{HEARTH!r} and {completer.model!r}"
            raise RequestFault(404, f"There is no model {name[:80]!r} here, only {names}.", "model", "model_not_found")
        return name

    def _opened(self) -> tuple[Completer, Sampling]:
        if self._house is None:
            raise RequestFault(503, "The model is not loaded yet.", code="starting", headers={"Retry-After": "5"})
        return self._house

    def _completion(self, caller: str, asked: ChatRequest) -> Completion:
        asked.refuse_what_is_not_done()
        documents = self._known(asked.model) == HEARTH
        turns = asked.turns()
        return Completion(
            caller,
            tuple(replace(turn, text=responses.without_sources(turn.text)) for turn in turns) if documents else turns,
            documents,
            asked.sampling(self._opened()[1], self._settings.max_tokens),
            behind=1 if self._settings.behind_people else 0,
            open_limit=self._settings.open_requests,
        )

    def _enter(self, completion: Completion) -> Ticket:
        completer, _ = self._opened()
        try:
            return completer.enter(completion)
        except TooManyWaiting as error:
            wait_s = max(1, math.ceil(completer.wait_s()))
            raise RequestFault(
                429,
                f"This key has {error.limit} requests open, and may have no more. Try again in {wait_s} s.",
                code="rate_limit_exceeded",
                headers={"Retry-After": str(wait_s)},
            ) from error


class _Streaming:
    """One answer as server-sent events."""

    def __init__(self, request: web.Request, asked: ChatRequest, answer: responses.Answer) -> None:
        self._request = request
        self._asked = asked
        self._answer = answer
        self._pieces = responses.Pieces(answer)
        self._writing = asyncio.Lock()
        self._written_s = time.monotonic()
        self._response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        )

    async def send(self, items: Items) -> web.StreamResponse:
        """Send all of it. Raises RequestFault for what goes wrong before anything was sent."""
        try:
            await self._attend(items)
        except ConnectionResetError:
            log.debug("A program went away before its answer had ended.")
        except (PromptTooLong, EngineFailed, TimeoutError) as error:
            fault = fault_of(error)
            if not self._response.prepared:
                raise fault from error
            await self._response.write(responses.event(fault.body()))
        return self._response

    async def _attend(self, items: Items) -> None:
        """Send the items, and say so each time that a while has passed without one."""
        # One task for all items: one for each was most of what a token cost the cores that also compute the model.
        sending = asyncio.create_task(self._send_all(items))
        try:
            while not sending.done():
                if (left_s := KEEP_ALIVE_S - self._quiet_s()) > 0:
                    await asyncio.wait({sending}, timeout=left_s)
                else:
                    await self._write(responses.KEEP_ALIVE)
            sending.result()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send_all(self, items: Items) -> None:
        async for item in items:
            await self._write(self._events(item))
        await self._write(responses.DONE)

    def _quiet_s(self) -> float:
        # A write that waits for a slow reader is no silence: nothing more is written behind it.
        return 0.0 if self._writing.locked() else time.monotonic() - self._written_s

    async def _write(self, data: bytes) -> None:
        async with self._writing:
            if not self._response.prepared:
                await self._response.prepare(self._request)
                await self._response.write(responses.event(self._answer.piece({"role": "assistant", "content": ""})))
            await self._response.write(data)
            self._written_s = time.monotonic()

    def _events(self, item: str | Completed) -> bytes:
        if isinstance(item, str):
            return self._pieces.event(item)
        below = responses.footer(item) if _wants_footer(self._asked) else ""
        events = [self._pieces.event(below)] if below else []
        events.append(responses.event(self._answer.last(item)))
        if self._asked.include_usage:
            events.append(responses.event(self._answer.costs(item)))
        return b"".join(events)


def _wants_footer(asked: ChatRequest) -> bool:
    """People read sources below the text; below JSON they would break it."""
    return asked.response_format is None or asked.response_format.type == "text"


def fault_of(error: PromptTooLong | EngineFailed | TimeoutError) -> RequestFault:
    """What a program is told of an error of the engine."""
    if isinstance(error, PromptTooLong):
        sentence = f"The messages have at least {error.prompt_tokens} tokens, and {error.limit_tokens} fit."
        return RequestFault(400, sentence, "messages", "context_length_exceeded")
    if isinstance(error, SchemaRefused):
        return RequestFault(400, str(error), "response_format", "invalid_schema")
    log.warning("A program's request was not answered: %s", error or type(error).__name__)
    if isinstance(error, EngineFailed):
        return RequestFault(500, str(error), code="engine_failed")
    return RequestFault(504, "The model fell silent, and this answer was given up.", code="engine_silent")
