"""Prunes Discord's OpenAPI document to what requests of our tests are checked against.

`python -m tests.prune_discord_openapi specs/openapi.json` rewrites tests/data/discord-openapi.json: the routes of the
fake server, without their responses, and the components that these name.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.discord_openapi import DOCUMENT
from tests.fakes.discord_server.routes_commands import commands
from tests.fakes.discord_server.routes_interactions import interactions
from tests.fakes.discord_server.routes_messages import messages
from tests.fakes.discord_server.routes_places import places

Json = dict[str, Any]
ROUTES = {(method, path) for table in (places, messages, interactions, commands) for method, path, _ in table.table}


def pruned(document: Json) -> Json:
    """Give the document with nothing but what checks of our routes need, in an order of its own."""
    paths = {path: _operations(path, told) for path, told in sorted(document["paths"].items())}
    kept: Json = {key: document[key] for key in ("openapi", "info")}
    kept["paths"] = {path: told for path, told in paths.items() if told}
    kept["components"] = _components(document, kept["paths"])
    return kept


def text_of(document: Json) -> str:
    """The file's text: a line for each route and each component."""
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _operations(path: str, told: Json) -> Json:
    wanted = {method.lower() for method, at in ROUTES if at == path}
    found = {method: _request(operation) for method, operation in told.items() if method in wanted}
    return found | ({"parameters": told["parameters"]} if found and "parameters" in told else {})


def _request(operation: Json) -> Json:
    return {key: operation[key] for key in ("operationId", "parameters", "requestBody") if key in operation}


def _components(document: Json, paths: Json) -> Json:
    """Give the components that are named in these paths, and in each other."""
    found: Json = {}
    due = list(_names(paths))
    while due:
        kind, name = due.pop()
        if name not in found.setdefault(kind, {}):
            found[kind][name] = document["components"][kind][name]
            due.extend(_names(found[kind][name]))
    return found


def _names(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for one in node:
            yield from _names(one)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            _, _, kind, name = node["$ref"].split("/")
            yield kind, name
        for one in node.values():
            yield from _names(one)


if __name__ == "__main__":
    DOCUMENT.write_text(text_of(pruned(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))), encoding="utf-8")
