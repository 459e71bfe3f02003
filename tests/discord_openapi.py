"""Checks requests to Discord against its own OpenAPI document, and against the limits that only its prose tells."""

import functools
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import referencing
from discord.http import Route
from referencing.jsonschema import DRAFT202012

DOCUMENT = Path(__file__).parent / "data" / "discord-openapi.json"
"""The part of it that our requests need; `tests.prune_discord_openapi` makes it."""

# resources/message.mdx. The document says 4,000, which is for accounts of people who pay.
CONTENT_CHARACTERS = 2000
EMBEDS_CHARACTERS = 6000
EMBED_DESCRIPTION_CHARACTERS = 4096
NONCE_CHARACTERS = 25

# discord.py always sends these, and Discord takes them, though the document does not name them there.
_TTS = {"tts": {"type": "boolean"}}
_ALSO_TAKEN = {
    "MessageEditRequestPartial": _TTS,
    "IncomingWebhookUpdateRequestPartial": _TTS,
    "IncomingWebhookUpdateForInteractionCallbackRequestPartial": _TTS,
    "RichEmbed": {"flags": {"type": "integer"}},
    "ApplicationCommandUpdateRequest": {"nsfw": {"type": "boolean"}},
}


def written_rules(body: Any) -> list[str]:
    """Tell what a message's body has against the limits in Discord's prose; also inside an interaction's `data`."""
    if not isinstance(body, Mapping):
        return []
    return [*_message_faults(body), *written_rules(body.get("data"))]


def document_rules(method: str, path: str, query: Mapping[str, str], body: Any) -> list[str]:
    """Tell what a request has against the document: unknown route, field or query key, missing field, wrong value.

    `path` is the document's template.
    """
    operation = _document()["paths"].get(path, {}).get(method.lower())
    if operation is None:
        return [f"Discord has no {method} {path}"]
    return [*_query_faults(operation, query), *_body_faults(operation, method, path, body)]


@contextmanager
def checked_requests(*senders: type) -> Iterator[list[str]]:
    """Check every request that these classes make through their `request(route, ...)`, as discord.py's `HTTPClient` and
    `AsyncWebhookAdapter` have it, and whatever takes their place. Gives the growing list of faults; ends in failing the
    test if there are any left on it.
    """
    faults: list[str] = []
    with ExitStack() as undo:
        for sender in senders:
            undo.callback(setattr, sender, "request", sender.__dict__["request"])
            setattr(sender, "request", _checked(sender.__dict__["request"], faults))  # noqa: B010
        yield faults
    assert not faults, "\n".join(faults)


def path_template(method: str, path: str) -> str:
    """The document's template of a path: of several that fit, the one with the fewest places to fill. Else the path."""
    parts = path.strip("/").split("/")
    fitting = [one for one, told in _document()["paths"].items() if method.lower() in told and _fits(one, parts)]
    return min(fitting, key=lambda one: one.count("{"), default=path)


def _fits(template: str, parts: list[str]) -> bool:
    places = template.strip("/").split("/")
    return len(places) == len(parts) and all(
        place == part or (place.startswith("{") and not part.startswith("@"))
        for place, part in zip(places, parts, strict=False)
    )


def _checked(send: Callable[..., Awaitable[Any]], faults: list[str]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(send)
    async def request(sender: Any, route: Route, *arguments: Any, **options: Any) -> Any:
        body = options.get("json", options.get("payload"))
        for part in options.get("form") or options.get("multipart") or ():
            if part["name"] == "payload_json":
                body = json.loads(part["value"])
        query = {key: str(value) for key, value in (options.get("params") or {}).items()}
        found = written_rules(body)
        path = path_template(route.method, route.url.removeprefix(Route.BASE))
        found += document_rules(route.method, path, query, body)
        faults.extend(f"{route.method} {route.path}: {fault}" for fault in found)
        return await send(sender, route, *arguments, **options)

    return request


def _message_faults(body: Mapping[str, Any]) -> Iterator[str]:
    if len(body.get("content") or "") > CONTENT_CHARACTERS:
        yield f"content has {len(body['content'])} characters, over {CONTENT_CHARACTERS}"
    if len(str(body.get("nonce") or "")) > NONCE_CHARACTERS:
        yield f"nonce has {len(str(body['nonce']))} characters, over {NONCE_CHARACTERS}"
    embeds = body.get("embeds") or []
    if any(len(embed.get("description") or "") > EMBED_DESCRIPTION_CHARACTERS for embed in embeds):
        yield f"an embed's description has over {EMBED_DESCRIPTION_CHARACTERS} characters"
    if sum(map(_embed_characters, embeds)) > EMBEDS_CHARACTERS:
        yield f"the embeds have over {EMBEDS_CHARACTERS} characters together"


def _embed_characters(embed: Mapping[str, Any]) -> int:
    fields = [text for one in embed.get("fields") or [] for text in (one.get("name"), one.get("value"))]
    named = [(embed.get("footer") or {}).get("text"), (embed.get("author") or {}).get("name")]
    return sum(len(text or "") for text in [embed.get("title"), embed.get("description"), *fields, *named])


def _query_faults(operation: Mapping[str, Any], query: Mapping[str, str]) -> Iterator[str]:
    known = {one["name"]: one for one in map(_resolved, operation.get("parameters", ())) if one["in"] == "query"}
    yield from (f"unknown query key {key!r}" for key in query if key not in known)
    yield from (
        f"query key {key!r} is missing" for key, one in known.items() if one.get("required") and key not in query
    )


def _body_faults(operation: Mapping[str, Any], method: str, path: str, body: Any) -> Iterator[str]:
    content = operation.get("requestBody", {}).get("content", {})
    if body is None:
        if operation.get("requestBody", {}).get("required"):
            yield "there is no body"
        return
    if "application/json" not in content:
        yield "this route takes no JSON"
        return
    for error in _validator(method, path).iter_errors(body):
        telling = _telling(error)
        yield f"{telling.json_path}: {telling.message[:300]}"


def _telling(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """What is wrong with a value that fits none of several kinds: the fault against the kind that it means to be."""
    kinds: dict[Any, list[jsonschema.ValidationError]] = {}
    for one in error.context or ():
        kinds.setdefault(one.relative_schema_path[0], []).append(one)
    if not kinds:
        return error
    return _telling(min(kinds.values(), key=lambda faults: (any(map(_of_another_kind, faults)), len(faults)))[0])


def _of_another_kind(error: jsonschema.ValidationError) -> bool:
    """Whether a value is of another JSON type, or has another `type` of Discord's."""
    return bool(error.relative_path[0] == "type" if error.relative_path else error.validator == "type")


@functools.cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    schemas = document["components"]["schemas"]
    for name, more in _ALSO_TAKEN.items():
        schemas[name]["properties"].update(more)
    # Discord takes ids as numbers too, and discord.py sends some so.
    schemas["SnowflakeType"] = {"anyOf": [schemas["SnowflakeType"], {"type": "integer", "minimum": 0}]}
    closed: dict[str, Any] = _closed(document)
    return closed


@functools.cache
def _validator(method: str, path: str) -> jsonschema.Draft202012Validator:
    registry = referencing.Registry().with_resource("urn:discord", DRAFT202012.create_resource(_document()))
    place = path.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
    at = f"urn:discord#/paths/{place}/{method.lower()}/requestBody/content/application~1json/schema"
    return jsonschema.Draft202012Validator({"$ref": at}, registry=registry)


def _resolved(one: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in one:
        return one
    found: Any = _document()
    for key in one["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    resolved: Mapping[str, Any] = found
    return resolved


def _closed(node: Any) -> Any:
    """The document with every object closed to unknown fields; it leaves all of them open.

    Its `oneOf` become `anyOf`: it is loose enough for one value to fit several.
    """
    if isinstance(node, list):
        return [_closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {("anyOf" if key == "oneOf" else key): _closed(value) for key, value in node.items()}
    if isinstance(found.get("properties"), dict) and found.get("type") in ("object", ["object", "null"]):
        found.setdefault("additionalProperties", False)
    return found
