"""Writes a self-signed certificate for loopback; runs in Synapse's environment, which has the library for it."""

import datetime
import ipaddress
import sys
from pathlib import Path

from cryptography import x509  # type: ignore[import-not-found, unused-ignore]
from cryptography.hazmat.primitives import hashes, serialization  # type: ignore[import-not-found, unused-ignore]
from cryptography.hazmat.primitives.asymmetric import ec  # type: ignore[import-not-found, unused-ignore]

VALID = datetime.timedelta(days=1)


def write_certificate(folder: Path) -> None:
    """Write `certificate.pem` and `key.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - VALID).not_valid_after(now + VALID)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False).sign(
        key, hashes.SHA256()
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))


if __name__ == "__main__":
    write_certificate(Path(sys.argv[1]))
