"""HTTP handlers of /v1/models, of the chat and text completions, and of /v1/embeddings."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace

from aiohttp import web

from bot.core.api_completions import CompletionItem, CompletionRequest, CompletionResult, CompletionService
from bot.core.queue import Ticket, TooManyWaiting
from bot.openai import responses
from bot.openai.completions import TextCompletionRequest, parse_fill_in_request, parse_text_request
from bot.openai.embeddings import EmbeddingService
from bot.openai.errors import RequestError
from bot.openai.keys import ApiKeys
from bot.openai.requests import AnswerRequest, ChatCompletionRequest, parse_request
from bot.openai.settings import OpenAiSettings
from knowledge.embedding import Embedder
from models.engine import EngineFailed, NotSupported, PromptTooLong, Sampling, SchemaRefused, ThinkingText, Turn

log = logging.getLogger(__name__)

HEARTH_MODEL = "hearth"
"""Name of the model that answers from the documents; the engine's own name answers without them."""

KEEP_ALIVE_S = 10.0
"""Interval of keep-alive comments in a waiting stream: clients and proxies time out without data."""

READ_WITHIN_S = 30.0
"""Time for a client to read enough that the next piece of its answer fits; then its connection is cut."""

BODY_TIMEOUT_S = 60.0
"""Timeout for a request's body: 4 MB take that long at 0.5 Mbit/s."""

Items = AsyncGenerator[CompletionItem, None]
ParsedRequest = ChatCompletionRequest | TextCompletionRequest


class OpenAiEndpoint:
    """The HTTP handlers, between `open` and `close`."""

    def __init__(self, settings: OpenAiSettings, keys: ApiKeys) -> None:
        self._settings = settings
        self._keys = keys
        self._service: tuple[CompletionService, Sampling] | None = None
        self._embeddings: EmbeddingService | None = None

    def open(self, service: CompletionService, sampling: Sampling, embedder: Embedder | None = None) -> None:
        """Start answering requests; `sampling` holds the defaults of what a request leaves out."""
        self._service = (service, sampling)
        self._embeddings = EmbeddingService(embedder) if embedder is not None else None

    def close(self) -> None:
        """Stop answering requests, before the engine is closed."""
        self._service = self._embeddings = None

    @property
    def max_body_bytes(self) -> int:
        """The largest accepted request, in bytes."""
        return self._settings.body_bytes

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        # Some clients end every address in a slash.
        router.add_get("/v1/models{_:/?}", self._models)
        router.add_get("/v1/models/{name:.+?}{_:/?}", self._model)
        router.add_post("/v1/chat/completions{_:/?}", self._complete)
        router.add_post("/v1/completions{_:/?}", self._complete_text)
        router.add_post("/v1/fim/completions{_:/?}", self._fill_in)
        router.add_post("/v1/embeddings{_:/?}", self._embed)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self._caller(request)
        service, _ = self._require_service()
        names = [HEARTH_MODEL, service.model_name]
        models = [responses.model_object(name, service.context_tokens) for name in names]
        if self._embeddings is not None:
            models.append(responses.model_object(self._embeddings.model_name))
        return web.json_response({"object": "list", "data": models})

    async def _model(self, request: web.Request) -> web.StreamResponse:
        self._caller(request)
        service, _ = self._require_service()
        name = request.match_info["name"]
        if self._embeddings is not None and name == self._embeddings.model_name:
            return web.json_response(responses.model_object(name))
        return web.json_response(responses.model_object(self._require_model(name), service.context_tokens))

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        self._caller(request)
        self._require_service()
        if self._embeddings is None:
            raise RequestError(404, "No embedding model is loaded here.", code="model_not_found")
        response = web.json_response(await self._embeddings.answer(await self._body(request)))
        await _send_whole(request, response)
        return response

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, parse_request)

    async def _complete_text(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, parse_text_request)

    async def _fill_in(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, parse_fill_in_request)

    async def _serve(self, request: web.Request, parse: Callable[[bytes], ParsedRequest]) -> web.StreamResponse:
        caller = self._caller(request)
        service, _ = self._require_service()
        parsed = parse(await self._body(request))
        completion = self._completion(caller, parsed)
        ticket = self._take_ticket(completion)
        try:
            return await self._answer(request, parsed, completion, ticket)
        finally:
            service.release_ticket(ticket)  # a cancelled request may not have started to stream

    async def _answer(
        self, request: web.Request, parsed: ParsedRequest, completion: CompletionRequest, ticket: Ticket
    ) -> web.StreamResponse:
        answer = _response_objects(parsed, self._require_model(parsed.model))
        async with aclosing(self._require_service()[0].stream_answer(completion, ticket)) as items:
            if parsed.stream:
                return await _EventStream(request, parsed, answer).send(items)
            text, thinking, result = "", "", CompletionResult()
            try:
                async for item in items:
                    if isinstance(item, CompletionResult):
                        result = item
                    elif isinstance(item, ThinkingText):
                        thinking += item.text
                    else:
                        text += item
            except (PromptTooLong, EngineFailed, TimeoutError) as error:
                raise to_request_error(error, parsed.input_field) from error
        text += responses.footer(result) if _wants_footer(parsed) else ""
        response = web.json_response(answer.full_completion(text, result, thinking))
        await _send_whole(request, response)
        return response

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
        service, _ = self._require_service()
        if name not in (HEARTH_MODEL, service.model_name):
            names = f"{HEARTH_MODEL!r} and {service.model_name!r}"
            raise RequestError(404, f"There is no model {name[:80]!r} here, only {names}.", "model", "model_not_found")
        return name

    def _require_service(self) -> tuple[CompletionService, Sampling]:
        if self._service is None:
            raise RequestError(503, "The model is not loaded yet.", code="starting", headers={"Retry-After": "5"})
        return self._service

    def _completion(self, caller: str, parsed: ParsedRequest) -> CompletionRequest:
        parsed.reject_unsupported()
        service, defaults = self._require_service()
        documents = self._require_model(parsed.model) == HEARTH_MODEL
        completion = CompletionRequest(
            caller,
            (),
            documents,
            parsed.to_sampling(defaults, self._settings.max_tokens),
            priority=1 if self._settings.priority == "below_people" else 0,
            open_limit=self._settings.open_requests_per_key,
        )
        if isinstance(parsed, ChatCompletionRequest):
            turns, reply_start = parsed.to_turns()
            if documents:
                turns, reply_start = tuple(map(_without_footer, turns)), responses.strip_footer(reply_start)
            return replace(completion, turns=turns, reply_start=reply_start, reasoning_effort=parsed.effort)
        if documents:
            sentence = f"{HEARTH_MODEL!r} answers questions, and continues no text: {service.model_name!r} does."
            raise RequestError(404, sentence, "model", "model_not_found")
        return replace(completion, raw=parsed.to_prompt())

    def _take_ticket(self, completion: CompletionRequest) -> Ticket:
        service, _ = self._require_service()
        try:
            return service.take_ticket(completion)
        except TooManyWaiting as error:
            wait_s = max(1, math.ceil(service.expected_wait_s()))
            raise RequestError(
                429,
                f"This key has {error.limit} requests open, and may have no more. Try again in {wait_s} s.",
                code="rate_limit_exceeded",
                headers={"Retry-After": str(wait_s)},
            ) from error


async def _send_whole(request: web.Request, response: web.Response) -> None:
    """Send a response here and not in aiohttp, which would wait for a slow reader for ever."""
    with suppress(ConnectionResetError):
        async with _reading(request):
            await response.prepare(request)
            await response.write_eof()


@asynccontextmanager
async def _reading(request: web.Request) -> AsyncIterator[None]:
    """Give the client `READ_WITHIN_S` to read. Raises ConnectionResetError after cutting the connection."""
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            yield
    except TimeoutError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError(f"The client has not read for {READ_WITHIN_S:g} s.") from error


class _EventStream:
    """One answer as server-sent events."""

    def __init__(self, request: web.Request, parsed: ParsedRequest, answer: responses.CompletionObjects) -> None:
        self._request = request
        self._parsed = parsed
        self._answer = answer
        self._pieces = responses.ChunkEncoder(answer)
        self._writing = asyncio.Lock()
        self._written_s = time.monotonic()
        self._response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        )

    async def send(self, items: Items) -> web.StreamResponse:
        """Send the whole answer. Raises RequestError for a failure before the first byte."""
        try:
            await self._send_with_keep_alive(items)
        except ConnectionResetError as error:
            log.debug("Stopped an answer: the client has disconnected. %s", error)
        except (PromptTooLong, EngineFailed, TimeoutError) as error:
            request_error = to_request_error(error, self._parsed.input_field)
            if not self._response.prepared:
                raise request_error from error
            with suppress(ConnectionResetError):
                async with _reading(self._request):
                    await self._response.write(responses.sse_event(request_error.error_body()))
        return self._response

    async def _send_with_keep_alive(self, items: Items) -> None:
        """Send the items, and a keep-alive comment after each interval without one."""
        # One task for all items: a task per item was most of a token's cost on the cores that also run the model.
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
        # A write blocked by a slow reader needs no keep-alive: it would only queue up after it.
        return 0.0 if self._writing.locked() else time.monotonic() - self._written_s

    async def _write(self, data: bytes) -> None:
        async with self._writing, _reading(self._request):
            if not self._response.prepared:
                await self._response.prepare(self._request)
                await self._response.write(
                    responses.sse_event(self._answer.chunk_object({"role": "assistant", "content": ""}))
                )
            await self._response.write(data)
            self._written_s = time.monotonic()

    def _events(self, item: CompletionItem) -> bytes:
        if isinstance(item, str):
            return self._pieces.encode_chunk(item)
        if isinstance(item, ThinkingText):
            return responses.sse_event(self._answer.chunk_object({"reasoning_content": item.text}))
        text = responses.footer(item) if _wants_footer(self._parsed) else ""
        events = [self._pieces.encode_chunk(text)] if text else []
        events.append(responses.sse_event(self._answer.final_chunk(item)))
        if self._parsed.include_usage:
            events.append(responses.sse_event(self._answer.usage_chunk(item)))
        return b"".join(events)


def _without_footer(turn: Turn) -> Turn:
    """A turn as it was generated; only answers have Hearth's footer, and a person's own list may look like one."""
    return replace(turn, text=responses.strip_footer(turn.text)) if turn.role == "assistant" else turn


def _response_objects(parsed: ParsedRequest, model: str) -> responses.CompletionObjects:
    """The builder of the response objects."""
    return responses.CompletionObjects(model) if isinstance(parsed, ChatCompletionRequest) else parsed.to_objects(model)


def _wants_footer(parsed: AnswerRequest) -> bool:
    """Whether sources are added below the text; they would break JSON."""
    return parsed.response_format is None or parsed.response_format.type == "text"


def to_request_error(error: PromptTooLong | EngineFailed | TimeoutError, input_field: str) -> RequestError:
    """An error of the engine as an HTTP error; `input_field` is the field with the prompt."""
    if isinstance(error, PromptTooLong):
        sentence = f"The {input_field} field has at least {error.prompt_tokens} tokens, and {error.limit_tokens} fit."
        return RequestError(400, sentence, input_field, "context_length_exceeded")
    if isinstance(error, NotSupported):
        return RequestError(400, str(error), error.field, "unsupported_parameter")
    if isinstance(error, SchemaRefused):
        return RequestError(400, str(error), "response_format", "invalid_schema")
    log.warning("Could not answer an API request: %s", str(error) or "the model fell silent")
    if isinstance(error, EngineFailed):
        return RequestError(500, str(error), code="engine_failed")
    return RequestError(504, "The model fell silent, and this answer was given up.", code="engine_silent")
