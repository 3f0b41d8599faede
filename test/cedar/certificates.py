"""A certificate authority for tests."""

import datetime
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Attributes = Sequence[tuple[x509.ObjectIdentifier, str]]
HOST = "localhost"
_DAY = datetime.timedelta(days=1)


def person(name: str) -> Attributes:
    return ((NameOID.ORGANIZATION_NAME, "Example Site"), (NameOID.COMMON_NAME, name))


@dataclass(frozen=True)
class Authority:
    """An authority that writes ca.pem, and <name>.pem and <name>.key for each certificate, to `directory`."""

    directory: Path
    name: str = "ca"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        certificate = self._sign(self._subject, self.key, days=1, is_authority=True)
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))

    @property
    def file(self) -> Path:
        return self.directory / f"{self.name}.pem"

    def make(self, file: str, subject: Attributes, *, host: str | None = None, days: int = 1) -> tuple[str, str]:
        """Create a certificate; return its path and that of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
        certificate = self._sign(name, key, days=days, host=host)
        public, private = self.directory / f"{file}.pem", self.directory / f"{file}.key"
        public.write_bytes(certificate.public_bytes(Encoding.PEM))
        private.touch(mode=0o600)
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return str(public), str(private)

    @property
    def _subject(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        days: int,
        host: str | None = None,
        is_authority: bool = False,
    ) -> x509.Certificate:
        """Sign a certificate that expires in `days`; a negative number makes it expired."""
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder(subject_name=subject, issuer_name=self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * _DAY)
            .not_valid_after(now + days * _DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def server_context(authority: Authority, pair: tuple[str, str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(authority.file)
    context.load_cert_chain(*pair)
    return context


def client_context(authority: Authority, pair: tuple[str, str] | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.file)
    if pair:
        context.load_cert_chain(*pair)
    return context
