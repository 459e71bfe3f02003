"""API keys: identifies the calling program."""

import hashlib
import hmac
from collections.abc import Mapping

from bot.openai.errors import RequestError


class ApiKeyMissing(Exception):
    """An environment variable of a key is unset, or holds a key that is already in use."""

    user_facing = True


class ApiKeys:
    """The API keys; only their digests stay in memory."""

    def __init__(self, digests: Mapping[str, bytes]) -> None:
        self._digests = digests

    @classmethod
    def from_environment(cls, names: Mapping[str, str], environment: Mapping[str, str]) -> "ApiKeys":
        """Read the programs' keys. Raises ApiKeyMissing for an unset or empty variable and for a repeated key.

        The sentences show no variable's name: a secret in its place would be shown with it.
        """
        digests: dict[str, bytes] = {}
        for name, variable in names.items():
            key = environment.get(variable, "").strip()
            if not key:
                raise ApiKeyMissing(
                    f"The environment variable that http.openai.keys names for {name!r} is not set, or is empty."
                )
            digest = _digest(key)
            if digest in digests.values():
                raise ApiKeyMissing(f"The key of {name!r} is also another program's: give it one of its own.")
            digests[name] = digest
        return cls(digests)

    def identify_caller(self, authorization: str) -> str:
        """The program whose key an Authorization header holds. Raises RequestError (401) in constant time."""
        scheme, _, key = authorization.partition(" ")
        given = _digest(key.strip())
        found = ""
        for name, digest in self._digests.items():
            if hmac.compare_digest(given, digest):
                found = name
        if scheme.casefold() != "bearer" or not found:
            raise RequestError(
                401,
                "This key is not known here. Send `Authorization: Bearer KEY`; the admin has the keys.",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
