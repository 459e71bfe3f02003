"""The keys of somebody else as the homeserver has them, to check their side of a verification against."""

from adapters.matrix.account.cross_signing import KEYS_QUERY, get_nested, public_key_of
from adapters.matrix.account.signing import key_id
from adapters.matrix.homeserver import MatrixApi


async def fetch_user_keys(server: MatrixApi, user_id: str, device_id: str) -> dict[str, str]:
    """The key of a device and the master key of its owner, by their ids; without those that the homeserver lacks."""
    answer = await server.call_api("POST", KEYS_QUERY, {"device_keys": {user_id: []}})
    name = f"ed25519:{device_id}"
    fingerprint = get_nested(answer, "device_keys", user_id, device_id, "keys").get(name)
    master = public_key_of(get_nested(answer, "master_keys", user_id))
    return {
        **({name: fingerprint} if isinstance(fingerprint, str) else {}),
        **({key_id(master): master} if master else {}),
    }
