"""Serves /v1/models and /v1/chat/completions."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from aiohttp import web

from bot.core.api_completions import CompletionRequest, CompletionResult, CompletionService
from bot.core.queue import Ticket, TooManyWaiting
from bot.openai import responses
from bot.openai.errors import RequestError
from bot.openai.keys import ApiKeys
from bot.openai.requests import ChatCompletionRequest, parse_request
from bot.openai.settings import OpenAiSettings
from models.engine import EngineFailed, PromptTooLong, Sampling, SchemaRefused

log = logging.getLogger(__name__)

HEARTH_MODEL = "hearth"
"""The model that answers from the documents; the bare model's own name answers without."""

KEEP_ALIVE_S = 10.0
"""A stream that waits says so this often: clients and proxies give up on silence."""

BODY_TIMEOUT_S = 60.0
"""How long a request may take to arrive: 4 MB take that long over 0.5 Mbit/s."""

Items = AsyncGenerator[str | CompletionResult, None]


class OpenAiEndpoint:
    """The handlers."""

    def __init__(self, settings: OpenAiSettings, keys: ApiKeys) -> None:
        self._settings = settings
        self._keys = keys
        self._service: tuple[CompletionService, Sampling] | None = None

    def open(self, completer: CompletionService, sampling: Sampling) -> None:
        """From now on requests are answered; `sampling` is the house's own way, for what a request leaves open."""
        self._service = (completer, sampling)

    def close(self) -> None:
        """From now on no request is answered: what answers is about to be closed."""
        self._service = None

    @property
    def max_body_bytes(self) -> int:
        """The largest request that is taken."""
        return self._settings.body_bytes

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        # Some clients end every address in a slash.
        router.add_get("/v1/models{_:/?}", self._models)
        router.add_get("/v1/models/{name:.+?}{_:/?}", self._model)
        router.add_post("/v1/chat/completions{_:/?}", self._complete)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self._caller(request)
        completer, _ = self._require_service()
        return web.json_response(responses.model_list([HEARTH_MODEL, completer.model_name]))

    async def _model(self, request: web.Request) -> web.StreamResponse:
        self._caller(request)
        return web.json_response(responses.model_object(self._require_model(request.match_info["name"])))

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        caller = self._caller(request)
        completer, _ = self._require_service()
        asked = parse_request(await self._body(request))
        completion = self._completion(caller, asked)
        ticket = self._take_ticket(completion)
        try:
            return await self._answer(request, asked, completion, ticket)
        finally:
            completer.release_ticket(ticket)  # a cancelled request may not even have begun to stream

    async def _answer(
        self, request: web.Request, asked: ChatCompletionRequest, completion: CompletionRequest, ticket: Ticket
    ) -> web.StreamResponse:
        answer = responses.CompletionObjects(self._require_model(asked.model))
        async with aclosing(self._require_service()[0].stream_answer(completion, ticket)) as items:
            if asked.stream:
                return await _EventStream(request, asked, answer).send(items)
            text, completed = "", CompletionResult()
            try:
                async for item in items:
                    if isinstance(item, CompletionResult):
                        completed = item
                    else:
                        text += item
            except (PromptTooLong, EngineFailed, TimeoutError) as error:
                raise to_request_error(error) from error
        text += responses.footer(completed) if _wants_footer(asked) else ""
        return web.json_response(answer.full_completion(text, completed))

    async def _body(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            sentence = f"The request is larger than the {self.max_body_bytes} bytes that are taken."
            raise RequestError(413, sentence) from error
        except web.RequestPayloadError as error:
            raise RequestError(400, "The request's body is not encoded as its headers say.") from error
        except TimeoutError as error:
            sentence = f"The request's body did not arrive within {BODY_TIMEOUT_S:g} s."
            raise RequestError(408, sentence, headers={"Connection": "close"}) from error

    def _caller(self, request: web.Request) -> str:
        return self._keys.identify_caller(request.headers.get("Authorization", ""))

    def _require_model(self, name: str) -> str:
        completer, _ = self._require_service()
        if name not in (HEARTH_MODEL, completer.model_name):
            names = f"{HEARTH_MODEL!r} and {completer.model_name!r}"
            raise RequestError(404, f"There is no model {name[:80]!r} here, only {names}.", "model", "model_not_found")
        return name

    def _require_service(self) -> tuple[CompletionService, Sampling]:
        if self._service is None:
            raise RequestError(503, "The model is not loaded yet.", code="starting", headers={"Retry-After": "5"})
        return self._service

    def _completion(self, caller: str, asked: ChatCompletionRequest) -> CompletionRequest:
        asked.reject_unsupported()
        documents = self._require_model(asked.model) == HEARTH_MODEL
        turns = asked.to_turns()
        return CompletionRequest(
            caller,
            tuple(replace(turn, text=responses.strip_footer(turn.text)) for turn in turns) if documents else turns,
            documents,
            asked.to_sampling(self._require_service()[1], self._settings.max_tokens),
            priority=1 if self._settings.priority == "below_people" else 0,
            open_limit=self._settings.open_requests_per_key,
        )

    def _take_ticket(self, completion: CompletionRequest) -> Ticket:
        completer, _ = self._require_service()
        try:
            return completer.take_ticket(completion)
        except TooManyWaiting as error:
            wait_s = max(1, math.ceil(completer.expected_wait_s()))
            raise RequestError(
                429,
                f"This key has {error.limit} requests open, and may have no more. Try again in {wait_s} s.",
                code="rate_limit_exceeded",
                headers={"Retry-After": str(wait_s)},
            ) from error


class _EventStream:
    """One answer as server-sent events."""

    def __init__(self, request: web.Request, asked: ChatCompletionRequest, answer: responses.CompletionObjects) -> None:
        self._request = request
        self._asked = asked
        self._answer = answer
        self._pieces = responses.ChunkEncoder(answer)
        self._writing = asyncio.Lock()
        self._written_s = time.monotonic()
        self._response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        )

    async def send(self, items: Items) -> web.StreamResponse:
        """Send all of it. Raises RequestFault for what goes wrong before anything was sent."""
        try:
            await self._send_with_keep_alive(items)
        except ConnectionResetError:
            log.debug("A program went away before its answer had ended.")
        except (PromptTooLong, EngineFailed, TimeoutError) as error:
            fault = to_request_error(error)
            if not self._response.prepared:
                raise fault from error
            await self._response.write(responses.sse_event(fault.error_body()))
        return self._response

    async def _send_with_keep_alive(self, items: Items) -> None:
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
                await self._response.write(
                    responses.sse_event(self._answer.chunk_object({"role": "assistant", "content": ""}))
                )
            await self._response.write(data)
            self._written_s = time.monotonic()

    def _events(self, item: str | CompletionResult) -> bytes:
        if isinstance(item, str):
            return self._pieces.encode_chunk(item)
        below = responses.footer(item) if _wants_footer(self._asked) else ""
        events = [self._pieces.encode_chunk(below)] if below else []
        events.append(responses.sse_event(self._answer.final_chunk(item)))
        if self._asked.include_usage:
            events.append(responses.sse_event(self._answer.usage_chunk(item)))
        return b"".join(events)


def _wants_footer(asked: ChatCompletionRequest) -> bool:
    """People read sources below the text; below JSON they would break it."""
    return asked.response_format is None or asked.response_format.type == "text"


def to_request_error(error: PromptTooLong | EngineFailed | TimeoutError) -> RequestError:
    """What a program is told of an error of the engine."""
    if isinstance(error, PromptTooLong):
        sentence = f"The messages have at least {error.prompt_tokens} tokens, and {error.limit_tokens} fit."
        return RequestError(400, sentence, "messages", "context_length_exceeded")
    if isinstance(error, SchemaRefused):
        return RequestError(400, str(error), "response_format", "invalid_schema")
    log.warning("A program's request was not answered: %s", error or type(error).__name__)
    if isinstance(error, EngineFailed):
        return RequestError(500, str(error), code="engine_failed")
    return RequestError(504, "The model fell silent, and this answer was given up.", code="engine_silent")
