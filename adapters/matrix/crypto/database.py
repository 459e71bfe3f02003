"""nio's database of a device's keys, as it is used here."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

from nio.crypto import OlmDevice, Session  # type: ignore[import-untyped]
from nio.store import MatrixStore  # type: ignore[import-untyped]
from peewee import SqliteDatabase  # type: ignore[import-untyped]

BATCH_S = 0.01
"""How long is worked without giving others a turn: the loop is to answer within 50 ms, the disk's time on top."""

T = TypeVar("T")


class BoundDatabase(SqliteDatabase):  # type: ignore[misc]
    """A database to which nio's models stay bound: nio binds and unbinds all of them for each row, which takes longer
    than the row.
    """

    def bind_ctx(self, models: Sequence[Any], bind_refs: bool = True, bind_backrefs: bool = True) -> Any:
        """Bind the models, unless they are."""
        if any(model._meta.database is not self for model in models):
            self.bind(models, bind_refs, bind_backrefs)
        return nullcontext()


class KeyDatabase(MatrixStore):  # type: ignore[misc]
    """The keys of one device, in nio's tables. What is written for each message and device is written as plain SQL."""

    def _create_database(self) -> BoundDatabase:
        # As nio does, but with one wait for the disk for each change instead of three. A change that is lost in a power
        # failure would make the device encrypt two messages with one key, so it is waited for.
        pragmas = {"foreign_keys": 1, "secure_delete": 1, "journal_mode": "wal", "synchronous": "full"}
        return BoundDatabase(self.database_path, pragmas=pragmas)

    async def run_in_batches(self, each: Iterable[T], act: Callable[[T], None]) -> None:
        """Do something with each, several in one transaction, and give others a turn after each transaction."""
        left = iter(each)
        done = False
        while not done:
            until = time.perf_counter() + BATCH_S
            with self.database.atomic():
                done = True
                for item in left:
                    act(item)
                    if time.perf_counter() >= until:
                        done = False
                        break
            await asyncio.sleep(0)

    def save_session(self, curve_key: str, session: Session) -> None:
        """Keep an Olm session as it is now."""
        times = [moment.strftime("%Y-%m-%d %H:%M:%S.%f") for moment in (session.creation_time, session.use_time)]
        self.database.execute_sql(
            "INSERT OR REPLACE INTO olmsessions"
            " (creation_time, last_usage_date, sender_key, account_id, session, session_id)"
            " SELECT ?, ?, ?, id, ?, ? FROM accounts WHERE user_id = ? AND device_id = ?",
            (*times, curve_key, session.pickle(self.pickle_key), session.id, *self._own_ids),
        )

    def delete_session(self, session_id: str) -> None:
        """Remove an Olm session."""
        self.database.execute_sql("DELETE FROM olmsessions WHERE session_id = ?", (session_id,))

    def delete_room_key(self, session_id: str) -> None:
        """Remove the key of a room's session."""
        self.database.execute_sql("DELETE FROM megolminboundsessions WHERE session_id = ?", (session_id,))

    def save_device_keys(self, device_keys: Mapping[str, Mapping[str, OlmDevice]]) -> None:
        """Keep what is known of devices, by user and device id."""
        with self.database.atomic():
            for devices in device_keys.values():
                for device in devices.values():
                    self._save_device(device)

    def _save_device(self, device: OlmDevice) -> None:
        who = (device.user_id, device.device_id)
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
                (kind, key, *who),
            )

    @property
    def _own_ids(self) -> tuple[str, str]:
        return self.user_id, self.device_id
