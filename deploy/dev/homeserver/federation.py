"""Two homeservers on loopback that federate with each other over TLS, and with no other server."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from deploy.build import test_services
from deploy.dev.homeserver.server import SynapseServer, free_port

CERTIFICATE_WITHIN_S = 60.0
_CERTIFICATE = Path(__file__).with_name("certificate.py")


@contextmanager
def federated_servers() -> Iterator[tuple[SynapseServer, SynapseServer]]:
    """Both servers, running; without limits. Their names are addresses, so nothing is looked up anywhere."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hearth-certificate-")))
        python = test_services.synapse_python(os.environ)
        subprocess.run([python, "-P", _CERTIFICATE, folder], check=True, timeout=CERTIFICATE_WITHIN_S)
        ports = [free_port(), free_port()]
        names = [f"127.0.0.1:{port}" for port in ports]
        servers: list[SynapseServer] = []
        for port, name in zip(ports, names, strict=True):
            server = SynapseServer(settings=_settings(folder, port, names), server_name=name)
            stack.callback(server.close)
            servers.append(server)
        for server in servers:
            server.start_now()
        yield servers[0], servers[1]


def _settings(folder: Path, port: int, names: Sequence[str]) -> dict[str, Any]:
    listener = {"port": port, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": True}
    return {
        "listeners": [listener | {"resources": [{"names": ["federation"]}]}],
        "tls_certificate_path": str(folder / "certificate.pem"),
        "tls_private_key_path": str(folder / "key.pem"),
        "federation_verify_certificates": False,
        "federation_domain_whitelist": list(names),
        "ip_range_blacklist": [],
        # By default a server that did not answer once is left alone for ten minutes.
        "federation": {"destination_min_retry_interval": "1s", "destination_max_retry_interval": "5s"},
    }
