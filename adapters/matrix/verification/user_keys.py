"""The keys of somebody else as the homeserver has them, to check their side of a verification against."""

from adapters.matrix.account.cross_signing import QUERY, inner, public_of
from adapters.matrix.account.signing import key_id
from adapters.matrix.homeserver import Server


async def keys_of(server: Server, user_id: str, device_id: str) -> dict[str, str]:
    """The key of a device and the master key of its owner, by their ids; without those that the homeserver lacks."""
    answer = await server.call("POST", QUERY, {"device_keys": {user_id: []}})
    name = f"ed25519:{device_id}"
    fingerprint = inner(answer, "device_keys", user_id, device_id, "keys").get(name)
    master = public_of(inner(answer, "master_keys", user_id))
    return {
        **({name: fingerprint} if isinstance(fingerprint, str) else {}),
        **({key_id(master): master} if master else {}),
    }
