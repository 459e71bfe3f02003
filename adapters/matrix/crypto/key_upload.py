"""Upload of our device's keys, and their replacement after the key store was restored from a backup."""

import logging

from adapters.matrix.api.parsing import as_dict, as_int, as_text
from adapters.matrix.crypto.machine import OlmMachine
from adapters.matrix.crypto.own_device import SIGNED_CURVE25519
from adapters.matrix.events import Json
from adapters.matrix.homeserver import MatrixApi, RequestRefused

log = logging.getLogger(__name__)

CLAIM = "/v3/keys/claim"
UPLOAD_TRIES = 10
"""Uploads in a row, each with new ids, while the server holds others under the same ids. A store that is a year old
shares ids with at most the 50 or so keys that the server keeps.
"""
MAX_WITHDRAWN = 200
"""One-time keys of ours taken back from the server in one repair; servers keep about 50 of a device."""


class KeyUploader:
    """Keeps enough one-time keys and an unused fallback key of ours on the server."""

    def __init__(self, machine: OlmMachine, server: MatrixApi) -> None:
        self._machine = machine
        self._server = server
        # Until a sync says otherwise, the server has none.
        self._fallback_used = not machine.account.shared

    def apply_sync(self, sync: Json) -> None:
        """Apply the counts of a sync: what the server still has."""
        counts = as_dict(sync.get("device_one_time_keys_count"))
        # Missing means none (specification); nio takes a missing count, and 0, for unknown and stops uploading.
        self._machine.uploaded_key_count = as_int(counts.get(SIGNED_CURVE25519)) or 0
        unused = sync.get("device_unused_fallback_key_types")
        self._fallback_used = isinstance(unused, list) and SIGNED_CURVE25519 not in unused

    async def upload(self) -> None:
        """Upload the keys that the server lacks. Raises the port's errors; what was not accepted stays due."""
        for tries_left in reversed(range(UPLOAD_TRIES)):
            body = self._machine.keys_to_upload(self._fallback_used)
            if not body:
                return
            try:
                response = await self._server.call_api("POST", "/v3/keys/upload", body)
            except RequestRefused as error:
                if not _is_id_taken(error) or not tries_left:
                    raise
                await self._replace_unknown_keys()
                continue
            counts = as_dict(response.get("one_time_key_counts"))
            self._machine.mark_uploaded(as_int(counts.get(SIGNED_CURVE25519)) or 0)
            self._fallback_used = False
            return

    async def _replace_unknown_keys(self) -> None:
        """Take new ids, and take back what the server gives out in our name.

        An id is taken when the store was restored from a backup: the server has keys that were made after it, and
        whose secrets are lost. A device that is given one of them writes to us in vain. The Olm sessions of the store
        are as old; in new ones, devices give us the room keys again that came after the backup.
        """
        self._machine.skip_pending_keys()
        withdrawn = await self._withdraw_keys()
        log.warning(
            "Replaced %d one-time keys on the homeserver that the key store does not know, as after a restored backup."
            " Messages may be unreadable until their senders' devices have begun new sessions.",
            withdrawn,
        )
        self._machine.renew_all_sessions()
        self._machine.uploaded_key_count = 0
        self._fallback_used = True

    async def _withdraw_keys(self) -> int:
        """Claim our own one-time keys, as another device would, until only the fallback key is left."""
        user_id, device_id = self._server.user_id, self._server.device_id
        for count in range(MAX_WITHDRAWN):
            body = {"one_time_keys": {user_id: {device_id: SIGNED_CURVE25519}}}
            response = await self._server.call_api("POST", CLAIM, body)
            claimed = as_dict(as_dict(as_dict(response.get("one_time_keys")).get(user_id)).get(device_id))
            if not claimed or any(as_dict(key).get("fallback") is True for key in claimed.values()):
                return count
        return MAX_WITHDRAWN


def _is_id_taken(error: RequestRefused) -> bool:
    """Whether the server holds other one-time keys under the ids of an upload. Synapse has no code for it."""
    return error.status == 400 and "already exists" in as_text(error.body.get("error"))
