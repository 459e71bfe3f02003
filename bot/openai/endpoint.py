"""HTTP handlers of /v1/models, of chats, responses and continued texts, and of /v1/embeddings."""

import asyncio
import math
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

from aiohttp import web

from bot.core.api_completions import CompletionRequest, CompletionService
from bot.core.queue import Ticket, TooManyWaiting
from bot.openai import responses
from bot.openai.completions import TextCompletionRequest, parse_fill_in_request, parse_text_request
from bot.openai.embeddings import EmbeddingService
from bot.openai.errors import RequestError, to_request_error
from bot.openai.event_stream import EventStream, Items, send_whole
from bot.openai.keys import ApiKeys
from bot.openai.requests import ChatCompletionRequest, parse_body, parse_request, wants_footer
from bot.openai.responses_request import ResponsesRequest
from bot.openai.responses_writer import ResponseWriter
from bot.openai.settings import OpenAiSettings
from knowledge.embedding import Embedder
from models.engine import EngineFailed, PromptTooLong, Sampling, Turn

HEARTH_MODEL = "hearth"
"""Name of the model that answers from the documents; the engine's own name answers without them."""

BODY_TIMEOUT_S = 60.0
"""Timeout for a request's body: 4 MB take that long at 0.5 Mbit/s."""


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
        router.add_post("/v1/completions{_:/?}", self._continue_text)
        router.add_post("/v1/fim/completions{_:/?}", self._fill_in)
        router.add_post("/v1/responses{_:/?}", self._respond)
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
        await send_whole(request, response)
        return response

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, parse_request)

    async def _continue_text(self, request: web.Request) -> web.StreamResponse:
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
        except RequestError as error:
            if error.code == "context_length_exceeded":
                error.param = parsed.input_field
            raise
        finally:
            service.release_ticket(ticket)  # a cancelled request may not have started to stream

    async def _answer(
        self, request: web.Request, parsed: ParsedRequest, completion: CompletionRequest, ticket: Ticket
    ) -> web.StreamResponse:
        objects = _response_objects(parsed, self._require_model(parsed.model))
        has_footer = wants_footer(parsed)
        async with aclosing(self._require_service()[0].stream_answer(completion, ticket)) as items:
            if parsed.stream:
                events = responses.ChatEvents(objects, has_footer=has_footer, has_usage=parsed.include_usage)
                return await EventStream(request, events).send(items)
            answer = await _collect(items)
        answer.text += responses.footer(answer.result) if has_footer else ""
        response = web.json_response(objects.full_completion(answer))
        await send_whole(request, response)
        return response

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        caller = self._caller(request)
        service, _ = self._require_service()
        wanted = parse_body(ResponsesRequest, await self._body(request))
        wanted.reject_unsupported()
        parsed = wanted.to_chat()
        completion = self._completion(caller, parsed)
        ticket = self._take_ticket(completion)
        try:
            writer = ResponseWriter(wanted.described(completion.sampling), has_footer=wants_footer(parsed))
            async with aclosing(service.stream_answer(completion, ticket)) as items:
                if parsed.stream:
                    return await EventStream(request, writer).send(items)
                answer = await _collect(items)
            response = web.json_response(writer.full_response(answer))
            await send_whole(request, response)
            return response
        finally:
            service.release_ticket(ticket)

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
            return _with_conversation(completion, parsed)
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


def _with_conversation(completion: CompletionRequest, parsed: ChatCompletionRequest) -> CompletionRequest:
    turns, reply_start = parsed.to_turns()
    if completion.use_documents:
        turns, reply_start = tuple(map(_without_footer, turns)), responses.strip_footer(reply_start)
    toolbox = parsed.to_toolbox()
    if reply_start and toolbox is not None and toolbox.choice == "required":
        sentence = "An answer that has begun with a last message of the assistant is no call: leave tool_choice out."
        raise RequestError(400, sentence, "tool_choice", "unsupported_parameter")
    return replace(completion, turns=turns, reply_start=reply_start, reasoning_effort=parsed.effort, toolbox=toolbox)


def _response_objects(parsed: ParsedRequest, model: str) -> responses.CompletionObjects:
    return responses.CompletionObjects(model) if isinstance(parsed, ChatCompletionRequest) else parsed.to_objects(model)


def _without_footer(turn: Turn) -> Turn:
    """A turn as it was generated; only answers have Hearth's footer, and a person's own list may look like one."""
    return replace(turn, text=responses.strip_footer(turn.text)) if turn.role == "assistant" else turn


async def _collect(items: Items) -> responses.WholeAnswer:
    """The whole answer. Raises RequestError for the failures of the engine."""
    answer = responses.WholeAnswer()
    try:
        async for item in items:
            answer.add(item)
    except (PromptTooLong, EngineFailed, TimeoutError) as error:
        raise to_request_error(error) from error
    return answer
