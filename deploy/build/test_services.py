"""Services for the Matrix tests, a homeserver and a client library: installed into the cache folder once per lock."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.build import machine
from deploy.build.packages import LOCKS, install_locked
from deploy.build.progress import CommandFailed, SetupFailed, run_with_progress

CLIENT = Path(__file__).parents[1] / "dev" / "element"
NPM_LOCK = CLIENT / "package-lock.json"
# Install scripts of packages do not run: the library and its compiled part are prebuilt files.
NPM_INSTALL = ("ci", "--ignore-scripts", "--omit", "dev", "--no-audit", "--no-fund", "--loglevel", "error")
# matrix-js-sdk 37.5 requires Node 20.
OLDEST_NODE = 20


def synapse_python(environment: Mapping[str, str]) -> Path:
    """Return a Python that can import Synapse, separate from Hearth's own; installed first if necessary.

    Raises SetupFailed with pip's last lines.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor} {sys.base_prefix} {machine.c_library()}"
    key = _key(python, LOCKS / "bootstrap.lock", LOCKS / "synapse.lock")
    cache = machine.cache_folder(environment)

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install_locked(folder, "bootstrap", cache / "logs", environment, "Synapse (1 of 2)")
        install_locked(folder, "synapse", cache / "logs", environment, "Synapse (2 of 2)")

    return build_once(cache / "synapse" / key, make) / "bin" / "python"


def client_library(environment: Mapping[str, str]) -> Path:
    """Return the `node_modules` with matrix-js-sdk, on which Element is built; installed first if necessary.

    Raises SetupFailed when Node or npm is missing, Node is too old, or npm cannot install.
    """
    require_node(environment)
    cache = machine.cache_folder(environment)

    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(CLIENT / name, folder)
        log = cache / "logs" / "npm.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            run_with_progress(
                ["npm", *NPM_INSTALL, "--prefix", folder], "Matrix client library", lambda _: None, log, environment
            )
        except CommandFailed as failure:
            raise SetupFailed("\n".join(failure.tail) + f"\n\nnpm could not install {NPM_LOCK.name}.") from failure

    return build_once(cache / "element" / _key("", NPM_LOCK), make) / "node_modules"


def require_node(environment: Mapping[str, str]) -> None:
    """Raise SetupFailed unless a recent enough Node and its npm are on the path."""
    path = environment.get("PATH")
    node = shutil.which("node", path=path)
    if not node or not shutil.which("npm", path=path):
        raise SetupFailed("Node with npm was not found on the path.")
    reported_version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    major = reported_version.removeprefix("v").partition(".")[0]
    if not major.isdecimal() or int(major) < OLDEST_NODE:
        raise SetupFailed(f"Node {OLDEST_NODE} or newer was not found; {node} is {reported_version or 'broken'}.")


def install_services(environment: Mapping[str, str]) -> None:
    """Install both services; without the client, print that its tests will be skipped. Raises SetupFailed."""
    synapse_python(environment)
    try:
        client_library(environment)
    except SetupFailed as failure:
        print(f"{failure} Tests with Element's library will be skipped.", file=sys.stderr)


def _key(place: str, *locks: Path) -> str:
    return hashlib.sha256(b"\0".join([place.encode(), *(lock.read_bytes() for lock in locks)])).hexdigest()[:16]


def build_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder after `make` has completed it, run first if necessary; an incomplete folder is removed before."""
    stamp = folder / "made"
    if not stamp.exists():
        with machine.file_lock(folder.parent / ".lock", f"installing {folder.parent.name}"):
            if not stamp.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                stamp.touch()
    return folder
