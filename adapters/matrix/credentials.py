"""The account's credentials on disk: one private file, written atomically."""

import base64
import json
import secrets
import stat
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from adapters.matrix.homeserver import MatrixUnusable
from adapters.storage.private_file import make_private_folder, write_private_file

FILE_NAME = "credentials.json"
KEY_BYTES = 32
LOGIN_HINT = "Run `hearth matrix login`."


@dataclass(frozen=True, slots=True)
class Credentials:
    """Access to the account. `store_key`: 32 random bytes as base64 that encrypt the key store."""

    homeserver: str
    user_id: str
    device_id: str
    access_token: str = field(repr=False)
    store_key: str = field(repr=False)


def new_store_key() -> str:
    """A new random key for a key store, base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")


def credentials_exist(folder: Path) -> bool:
    """Whether credentials of a login exist."""
    return (folder / FILE_NAME).exists()


def load_credentials(folder: Path) -> Credentials:
    """Read the credentials. Raises MatrixUnusable if they are missing, damaged or readable by other users."""
    path = folder / FILE_NAME
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise MatrixUnusable(
                f"Other users may read {path}, which gives access to the Matrix account. Make it private (chmod 600);"
                " if it may have been read, log the device out in another client and log in again."
            )
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MatrixUnusable(f"Hearth is not logged in to Matrix. {LOGIN_HINT}") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise MatrixUnusable(f"{path} cannot be read ({reason}). {LOGIN_HINT}") from error
    return _parsed(text, path)


def save_credentials(folder: Path, credentials: Credentials) -> None:
    """Write the credentials, readable only by their user. Raises MatrixUnusable when that is not possible."""
    try:
        make_private_folder(folder)
        write_private_file(folder / FILE_NAME, json.dumps(asdict(credentials), indent=1).encode())
    except OSError as error:
        raise MatrixUnusable(f"The credentials cannot be written into {folder}: {error.strerror}.") from error


def _parsed(text: str, path: Path) -> Credentials:
    damaged = MatrixUnusable(f"{path} is damaged. Put a backup of it back, or move its folder away. {LOGIN_HINT}")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        # Not chained: the error's text would hold pieces of the file.
        raise damaged from None
    names = [name.name for name in fields(Credentials)]
    if not isinstance(values, dict) or not all(isinstance(values.get(name), str) and values[name] for name in names):
        raise damaged
    if not _is_key(values["store_key"]):
        raise damaged
    return Credentials(**{name: values[name] for name in names})


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == KEY_BYTES
    except ValueError:
        return False
