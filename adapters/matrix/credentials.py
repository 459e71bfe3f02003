"""The account's credentials on disk: one file, private to its user, written whole or not at all."""

import base64
import json
import secrets
import stat
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from adapters.matrix.homeserver import MatrixUnusable
from adapters.storage.private_file import write_private_file

FILE_NAME = "credentials.json"
KEY_BYTES = 32
LOGIN_HINT = "Run `hearth matrix login`."


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to get into the account. `store_key` is 32 random bytes as base64: with it the key store is encrypted."""

    homeserver: str
    user_id: str
    device_id: str
    access_token: str = field(repr=False)
    store_key: str = field(repr=False)


def new_store_key() -> str:
    """A new key for a store."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")


def credentials_exist(folder: Path) -> bool:
    """Whether somebody has logged in."""
    return (folder / FILE_NAME).exists()


def load_credentials(folder: Path) -> Credentials:
    """Read the credentials. Raises MatrixUnusable where there are none, or others may read or have broken them."""
    path = folder / FILE_NAME
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise MatrixUnusable(
                f"Others may read {path}, which opens the Matrix account. Make it private (chmod 600); if somebody else"
                " may have read it, log the device out in another client and log in again."
            )
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MatrixUnusable(f"Hearth is not logged in to Matrix. {LOGIN_HINT}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise MatrixUnusable(f"{path} cannot be read ({type(error).__name__}). {LOGIN_HINT}") from error
    return _parsed(text, path)


def save_credentials(folder: Path, credentials: Credentials) -> None:
    """Write the credentials, readable by their user alone. Raises MatrixUnusable when that is not possible."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        write_private_file(folder / FILE_NAME, json.dumps(asdict(credentials), indent=1).encode())
    except OSError as error:
        raise MatrixUnusable(f"The credentials cannot be written into {folder}: {error.strerror}.") from error


def _parsed(text: str, path: Path) -> Credentials:
    broken = MatrixUnusable(f"{path} is damaged. Put a backup of it back, or move its folder away. {LOGIN_HINT}")
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        # Not chained: the error's text would hold pieces of the file.
        raise broken from None
    names = [name.name for name in fields(Credentials)]
    if not isinstance(read, dict) or not all(isinstance(read.get(name), str) and read[name] for name in names):
        raise broken
    if not _is_key(read["store_key"]):
        raise broken
    return Credentials(**{name: read[name] for name in names})


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == KEY_BYTES
    except ValueError:
        return False
