"""The device's key store on disk: private, encrypted, locked to one process, never silently replaced."""

import os
import sqlite3
from pathlib import Path

from filelock import FileLock, Timeout
from nio.crypto import OlmAccount  # type: ignore[import-untyped]
from peewee import PeeweeException  # type: ignore[import-untyped]

from adapters.matrix.credentials import Credentials
from adapters.matrix.crypto.database import KeyDatabase
from adapters.matrix.crypto.machine import OlmMachine
from adapters.matrix.homeserver import MatrixUnusable
from adapters.storage.private_file import make_private_folder

FILE_NAME = "keys.sqlite3"
LOCK_NAME = "keys.lock"
RESTORE_HINT = (
    "Put a backup of the folder {folder} back. Without one, run `hearth matrix login --again`: it makes a new device,"
    " which keeps the account's identity and cannot read messages sent to the old one."
)


class DeviceKeyStore:
    """An open key store, locked against other processes. `machine` encrypts and decrypts with it."""

    def __init__(self, machine: OlmMachine, store: KeyDatabase, lock: FileLock) -> None:
        self.machine = machine
        self._store = store
        self._lock = lock

    def close(self) -> None:
        """Close the store and release its lock."""
        self._store.database.close()
        self._lock.release()


def create_store(folder: Path, credentials: Credentials) -> DeviceKeyStore:
    """Create the store of a new device. Raises MatrixUnusable if there is one already."""
    lock = _acquire_lock(folder)
    try:
        path = folder / FILE_NAME
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError as error:
            raise MatrixUnusable(f"{folder} already holds the keys of a device. Move the folder away first.") from error
        except OSError as error:
            raise MatrixUnusable(f"The key store cannot be created in {folder}: {error.strerror}.") from error
        return _open_database(folder, credentials, lock)
    except MatrixUnusable:
        lock.release()
        raise


def open_store(folder: Path, credentials: Credentials) -> DeviceKeyStore:
    """Open the store of the logged-in device.

    Raises MatrixUnusable, without writing anything, if the store is in use by another process, missing, damaged,
    another device's, or encrypted with another key.
    """
    lock = _acquire_lock(folder)
    try:
        _check_database(folder, credentials)
        return _open_database(folder, credentials, lock)
    except MatrixUnusable:
        lock.release()
        raise


def _acquire_lock(folder: Path) -> FileLock:
    lock = FileLock(folder / LOCK_NAME, mode=0o600)
    try:
        make_private_folder(folder)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise MatrixUnusable(
            f"Another process uses the keys in {folder}. Stop it; two with one device would break its encryption."
        ) from error
    except OSError as error:
        raise MatrixUnusable(f"The key store in {folder} cannot be used: {error.strerror}.") from error
    return lock


def _open_database(folder: Path, credentials: Credentials, lock: FileLock) -> DeviceKeyStore:
    try:
        # SQLite gives its journals the mode of the database.
        (folder / FILE_NAME).chmod(0o600)
        store = KeyDatabase(
            credentials.user_id, credentials.device_id, str(folder), credentials.store_key, database_name=FILE_NAME
        )
        try:
            machine = OlmMachine(credentials.user_id, credentials.device_id, store)
        except BaseException:
            store.database.close()
            raise
    except OSError as error:
        raise MatrixUnusable(f"The key store in {folder} cannot be used: {error.strerror}.") from error
    except (PeeweeException, sqlite3.Error, ValueError, TypeError, KeyError, AttributeError) as error:
        # Errors of peewee and vodozemac for corrupt rows.
        raise _damaged_error(folder) from error
    return DeviceKeyStore(machine, store, lock)


def _check_database(folder: Path, credentials: Credentials) -> None:
    path = folder / FILE_NAME
    if not path.exists():
        raise MatrixUnusable(f"The device's keys, {path}, are missing. {RESTORE_HINT.format(folder=folder)}")
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)
        try:
            sound = connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
            owners = connection.execute("SELECT user_id, device_id, account FROM accounts").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _damaged_error(folder) from error
    if not sound or not owners:
        raise _damaged_error(folder)
    if [(user, device) for user, device, _ in owners] != [(credentials.user_id, credentials.device_id)]:
        raise MatrixUnusable(f"The keys in {folder} are another device's. {RESTORE_HINT.format(folder=folder)}")
    _check_key(folder, credentials, owners[0][2])


def _check_key(folder: Path, credentials: Credentials, pickled: bytes | str) -> None:
    try:
        OlmAccount.from_pickle(pickled if isinstance(pickled, bytes) else pickled.encode(), credentials.store_key)
    except ValueError as error:
        raise MatrixUnusable(
            f"The keys in {folder} are not encrypted with the key in credentials.json."
            f" {RESTORE_HINT.format(folder=folder)}"
        ) from error


def _damaged_error(folder: Path) -> MatrixUnusable:
    return MatrixUnusable(f"The key store in {folder} is damaged. {RESTORE_HINT.format(folder=folder)}")
