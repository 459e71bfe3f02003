"""Configuration of a small Synapse: loopback, SQLite, rate limits and federation as required by the test."""

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SERVER_NAME = "house.test"
DATABASE = "homeserver.db"

_FREE = {"per_second": 10_000, "burst_count": 10_000}
# Limits that the tests themselves would hit: all users connect from one address and log in at the same time.
_ALWAYS_LIFTED = {
    "rc_registration": _FREE,
    "rc_login": {"address": _FREE, "account": _FREE, "failed_attempts": _FREE},
    "rc_joins": {"local": _FREE, "remote": _FREE},
    "rc_joins_per_room": _FREE,
    "rc_invites": {"per_room": _FREE, "per_user": _FREE, "per_issuer": _FREE},
    "rc_key_requests": _FREE,
    "rc_room_creation": _FREE,
    "rc_admin_redaction": _FREE,
}
# Synapse's own default for messages is 0.2 a second after a burst of 10 (synapse/config/ratelimiting.py).
_LIFTED = {"rc_message": _FREE}


def write(folder: Path, port: int, lifted: bool, name: str, settings: Mapping[str, Any]) -> tuple[Path, str]:
    """Write Synapse's config files. Returns the path of the main one and the shared secret for registrations.

    They are JSON, which is YAML too and needs no library. `settings` override keys of it, but `listeners` are added.
    """
    secret = secrets.token_hex(16)
    logging, main = folder / "logging.yaml", folder / "homeserver.yaml"
    logging.write_text(json.dumps(_logging(folder / "homeserver.log")), encoding="utf-8")
    limits = _ALWAYS_LIFTED | (_LIFTED if lifted else {})
    content = _settings(folder, port, name, secret) | {"log_config": str(logging)} | limits
    listeners = [*content["listeners"], *settings.get("listeners", ())]
    content = content | dict(settings) | {"listeners": listeners}
    main.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return main, secret


def _settings(folder: Path, port: int, name: str, secret: str) -> dict[str, Any]:
    seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return {
        "server_name": name,
        "listeners": [
            {"port": port, "bind_addresses": ["127.0.0.1"], "type": "http", "resources": [{"names": ["client"]}]}
        ],
        "database": {"name": "sqlite3", "args": {"database": str(folder / DATABASE)}},
        "media_store_path": str(folder / "media"),
        "pid_file": str(folder / "pid"),
        "registration_shared_secret": secret,
        "macaroon_secret_key": secrets.token_hex(16),
        "form_secret": secrets.token_hex(16),
        "signing_key": f"ed25519 a_test {seed}",
        "trusted_key_servers": [],
        "federation_domain_whitelist": [],
        "report_stats": False,
        "stats": {"enabled": False},
        "presence": {"enabled": False},
        "user_directory": {"enabled": False},
        # The cheapest bcrypt: tests register hundreds of accounts.
        "bcrypt_rounds": 4,
    }


def _logging(file: Path) -> dict[str, Any]:
    return {
        "version": 1,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {"file": {"class": "logging.FileHandler", "filename": str(file), "formatter": "line"}},
        "loggers": {"synapse.access": {"level": "INFO"}},
        "root": {"level": "WARNING", "handlers": ["file"]},
        "disable_existing_loggers": False,
    }
