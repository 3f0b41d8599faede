"""What this daemon proves itself with, and checks its peers by: signing keys, the pool's password, certificates."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from annexd.cedar.context import Tls
from annexd.cedar.secret import Secret
from annexd.cedar.signing_key import POOL, pool_password, signing_secret
from annexd.daemon.parameters import Parameters, param

MAX_KEY_BYTES = 65536


@dataclass(frozen=True)
class SigningKeys:
    """Where the keys are that sign tokens; read anew for each token, so that a new key counts at once."""

    pool_file: Path | None
    directory: Path | None
    pool_is_password: bool

    @classmethod
    def read(cls, look_up: Parameters) -> "SigningKeys":
        pool, directory = param("SEC_TOKEN_POOL_SIGNING_KEY_FILE"), param("SEC_PASSWORD_DIRECTORY")
        return cls(Path(pool) if pool else None, Path(directory) if directory else None,
                   look_up.boolean("SEC_TOKEN_POOL_SIGNING_KEY_IS_PASSWORD", False))

    def secret(self, key_id: str) -> Secret | None:
        """The secret that verifies tokens of this key id (which the core has made sure is one file name)."""
        path = self._path(key_id)
        content = _content(path) if path else b""
        return signing_secret(key_id, content, pool_key_is_password=self.pool_is_password) if content else None

    def ids(self) -> tuple[str, ...]:
        """The key ids that can be read now, the pool's first, as clients are told."""
        try:
            names = sorted(path.name for path in self.directory.iterdir()) if self.directory else []
        except OSError:
            names = []
        candidates = (POOL, *(name for name in names if name != POOL and not name.startswith(".")))
        return tuple(key_id for key_id in candidates if self.secret(key_id) is not None)

    def _path(self, key_id: str) -> Path | None:
        if key_id == POOL:
            return self.pool_file
        return self.directory / key_id if self.directory else None


def read_pool_password() -> Secret | None:
    """The password of SEC_PASSWORD_FILE; None if there is none that can be read."""
    path = param("SEC_PASSWORD_FILE")
    return pool_password(_content(Path(path))) if path else None


def read_tls(look_up: Parameters) -> tuple[Tls | None, tuple[str, ...]]:
    """The first certificate of AUTH_SSL_SERVER_CERTFILE that can be used with its key, and what is wrong with those
    before it.  None where there is none: SSL then is not offered.
    """
    warnings = []
    for certificate, key in _certificates(look_up):
        try:
            context = _tls_context(look_up, certificate, key)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            warnings.append(f"SSL is not offered with the certificate {certificate} and the key {key}: {error}; see "
                            "AUTH_SSL_SERVER_CERTFILE, _KEYFILE, _CAFILE, _CADIR and AUTH_SSL_CIPHERLIST")
            continue
        return Tls(context, look_up.boolean("AUTH_SSL_REQUIRE_CLIENT_CERTIFICATE", False),
                   look_up.boolean("AUTH_SSL_REQUIRE_CLIENT_MAPPING", False)), tuple(warnings)
    return None, tuple(warnings)


def _certificates(look_up: Parameters) -> list[tuple[Path, Path]]:
    """The pairs of certificate and key of which both can be read."""
    certificates, keys = (_files(look_up, f"AUTH_SSL_SERVER_{kind}FILE") for kind in ("CERT", "KEY"))
    return [pair for pair in zip(certificates, keys, strict=False) if all(map(_content, pair))]


def _files(look_up: Parameters, knob: str) -> list[Path]:
    return [Path(name.strip()) for name in look_up.text(knob).split(",") if name.strip()]


def _tls_context(look_up: Parameters, certificate: Path, key: Path) -> ssl.SSLContext:
    """After Condor_Auth_SSL::setup_ssl_ctx.  No session is ever resumed: each peer is here once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    if ciphers := look_up.text("AUTH_SSL_CIPHERLIST"):
        context.set_ciphers(ciphers)
    _load_authorities(look_up, context)
    context.load_cert_chain(certificate, key, password="")  # or an encrypted key asks the terminal
    return context


def _load_authorities(look_up: Parameters, context: ssl.SSLContext) -> None:
    bundles = [file for file in _files(look_up, "AUTH_SSL_SERVER_CAFILE") if _content(file)]
    directory = look_up.text("AUTH_SSL_SERVER_CADIR")
    if bundles or directory:
        context.load_verify_locations(bundles[-1] if bundles else None, directory or None)  # HTCondor takes the last
    if look_up.boolean("AUTH_SSL_SERVER_USE_DEFAULT_CAS", True):
        context.set_default_verify_paths()


def _content(path: Path) -> bytes:
    """The file's content; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_BYTES)
    except (OSError, ValueError):
        return b""
