"""nio's database of a device's keys, with faster writes and batched transactions."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

from nio.crypto import OlmDevice, Session  # type: ignore[import-untyped]
from nio.store import MatrixStore  # type: ignore[import-untyped]
from peewee import SqliteDatabase  # type: ignore[import-untyped]

BATCH_S = 0.01
"""Work per turn of the event loop, which should respond within 50 ms; the wait for the disk comes on top."""

T = TypeVar("T")


class BoundDatabase(SqliteDatabase):  # type: ignore[misc]
    """A database to which nio's models stay bound: nio binds and unbinds all of them for each row, which takes longer
    than the row itself.
    """

    def bind_ctx(self, models: Sequence[Any], bind_refs: bool = True, bind_backrefs: bool = True) -> Any:
        """Bind the models that are not bound yet."""
        if any(model._meta.database is not self for model in models):
            self.bind(models, bind_refs, bind_backrefs)
        return nullcontext()


class KeyDatabase(MatrixStore):  # type: ignore[misc]
    """The keys of one device, in nio's tables. Writes for each message and device use plain SQL.

    One table is ours: the cross-signing keys of other users as last seen, which nio does not know.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.database.execute_sql(
            "CREATE TABLE IF NOT EXISTS hearth_owner_keys"
            " (user_id TEXT PRIMARY KEY, master TEXT NOT NULL, self_signing TEXT NOT NULL)"
        )

    def _create_database(self) -> BoundDatabase:
        # As nio does, but with one disk sync for each change instead of three. A change lost in a power failure would
        # make the device encrypt two messages with one key, so a sync is necessary.
        pragmas = {"foreign_keys": 1, "secure_delete": 1, "journal_mode": "wal", "synchronous": "full"}
        return BoundDatabase(self.database_path, pragmas=pragmas)

    async def run_in_batches(self, items: Iterable[T], action: Callable[[T], None]) -> None:
        """Apply an action to each item, several in one transaction, and yield to the event loop after each one."""
        remaining = iter(items)
        done = False
        while not done:
            until = time.perf_counter() + BATCH_S
            with self.database.atomic():
                done = True
                for item in remaining:
                    action(item)
                    if time.perf_counter() >= until:
                        done = False
                        break
            await asyncio.sleep(0)

    def save_session(self, curve_key: str, session: Session) -> None:
        """Save the current state of an Olm session."""
        times = [moment.strftime("%Y-%m-%d %H:%M:%S.%f") for moment in (session.creation_time, session.use_time)]
        self.database.execute_sql(
            "INSERT OR REPLACE INTO olmsessions"
            " (creation_time, last_usage_date, sender_key, account_id, session, session_id)"
            " SELECT ?, ?, ?, id, ?, ? FROM accounts WHERE user_id = ? AND device_id = ?",
            (*times, curve_key, session.pickle(self.pickle_key), session.id, *self._own_ids),
        )

    def delete_session(self, session_id: str) -> None:
        """Delete an Olm session."""
        self.database.execute_sql("DELETE FROM olmsessions WHERE session_id = ?", (session_id,))

    def delete_room_key(self, session_id: str) -> None:
        """Delete the key of a Megolm session."""
        self.database.execute_sql("DELETE FROM megolminboundsessions WHERE session_id = ?", (session_id,))

    def load_owner_keys(self) -> dict[str, tuple[str, str]]:
        """The master and self-signing keys of users as last seen, base64, by user id."""
        rows = self.database.execute_sql("SELECT user_id, master, self_signing FROM hearth_owner_keys").fetchall()
        return {user_id: (master, self_signing) for user_id, master, self_signing in rows}

    def save_owner_keys(self, user_id: str, master: str, self_signing: str) -> None:
        """Save the cross-signing keys of a user."""
        self.database.execute_sql(
            "INSERT OR REPLACE INTO hearth_owner_keys (user_id, master, self_signing) VALUES (?, ?, ?)",
            (user_id, master, self_signing),
        )

    def save_device_keys(self, device_keys: Mapping[str, Mapping[str, OlmDevice]]) -> None:
        """Save the known device keys, by user and device id."""
        with self.database.atomic():
            for devices in device_keys.values():
                for device in devices.values():
                    self._save_device(device)

    def _save_device(self, device: OlmDevice) -> None:
        device_ids = (device.user_id, device.device_id)
        self.database.execute_sql(
            "INSERT INTO devicekeys (device_id, user_id, display_name, deleted, account_id)"
            " SELECT ?, ?, ?, ?, id FROM accounts WHERE user_id = ? AND device_id = ?"
            " ON CONFLICT (account_id, user_id, device_id) DO UPDATE SET deleted = excluded.deleted",
            (device.device_id, device.user_id, device.display_name, device.deleted, *self._own_ids),
        )
        for kind, key in device.keys.items():
            self.database.execute_sql(
                "INSERT OR REPLACE INTO keys (key_type, key, device_id)"
                " SELECT ?, ?, id FROM devicekeys WHERE user_id = ? AND device_id = ?",
                (kind, key, *device_ids),
            )

    @property
    def _own_ids(self) -> tuple[str, str]:
        return self.user_id, self.device_id
