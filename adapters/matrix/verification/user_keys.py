"""Another user's keys from the homeserver, to check their side of a verification."""

from adapters.matrix.account.cross_signing import KEYS_QUERY, get_nested, public_key_of
from adapters.matrix.account.signing import key_id
from adapters.matrix.homeserver import MatrixApi


async def fetch_user_keys(server: MatrixApi, user_id: str, device_id: str) -> dict[str, str]:
    """A device's key and its owner's master key, by key id; omits keys that the homeserver lacks."""
    response = await server.call_api("POST", KEYS_QUERY, {"device_keys": {user_id: []}})
    name = f"ed25519:{device_id}"
    fingerprint = get_nested(response, "device_keys", user_id, device_id, "keys").get(name)
    master = public_key_of(get_nested(response, "master_keys", user_id))
    return {
        **({name: fingerprint} if isinstance(fingerprint, str) else {}),
        **({key_id(master): master} if master else {}),
    }
