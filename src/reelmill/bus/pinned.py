"""TLS without an authority: a certificate that signs itself, and clients that know its hash from their token."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from reelmill.bus.server_config import ServerCertificate
from reelmill.errors import StartupError

_DAYS = 3650
_SECONDS = 5.0


def keep_certificate(folder: Path, name: str) -> ServerCertificate:
    """The certificate in that folder, made when there is none; its pin stays the same from start to start."""
    certificate = ServerCertificate(folder / "bus.crt", folder / "bus.key")
    if certificate.cert.exists() and certificate.key.exists():
        return certificate
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(names)
        .issuer_name(names)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate.key.touch(mode=0o600)
    certificate.key.write_bytes(private)
    certificate.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return certificate


def pin_of(certificate: ServerCertificate) -> bytes:
    """The SHA-256 of the certificate."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.cert.read_text())).digest()


async def pinned_context(hosts: Sequence[str], pin: bytes) -> ssl.SSLContext:
    """TLS to whoever has the certificate with that hash, and nobody else; StartupError when no host shows it.

    A certificate is fetched first, over a connection on which nothing is said, and then trusted as the only authority.
    """
    complaints: list[str] = []
    for host in hosts:
        try:
            shown = await _fetch_certificate(host)
        except (OSError, TimeoutError, ssl.SSLError) as error:
            complaints.append(f"{host}: {error or 'no answer'}")
            continue
        if hashlib.sha256(shown).digest() == pin:
            context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(shown))
            context.check_hostname = False
            return context
        complaints.append(f"{host} has another certificate than the token names: was it set up anew? Make a new token")
    raise StartupError(f"cannot reach the bus: {'; '.join(complaints)}")


async def _fetch_certificate(host: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    name, _, port = host.rpartition(":")
    async with asyncio.timeout(_SECONDS):
        _, writer = await asyncio.open_connection(name.strip("[]"), int(port), ssl=context)
        try:
            connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
            return connection.getpeercert(binary_form=True) or b""
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()
