"""AUTH_SSL_SERVER_*: this daemon's certificate, and the authorities that it trusts."""

import ssl
from pathlib import Path

from annexd.cedar.context import Tls
from annexd.daemoncore.config.parameters import Parameters


def read_tls(look_up: Parameters) -> tuple[Tls | None, tuple[str, ...]]:
    """Return the first certificate of AUTH_SSL_SERVER_CERTFILE that works with its key, and warnings about others.

    Without a usable certificate it is None, and SSL is not offered.
    """
    warnings = []
    for certificate, key in _certificates(look_up):
        try:
            context = _tls_context(look_up, certificate, key)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            warnings.append(
                f"SSL is not offered with the certificate {certificate} and the key {key}: {error}; see "
                "AUTH_SSL_SERVER_CERTFILE, _KEYFILE, _CAFILE, _CADIR and AUTH_SSL_CIPHERLIST"
            )
            continue
        return Tls(
            context,
            look_up.boolean("AUTH_SSL_REQUIRE_CLIENT_CERTIFICATE", False),
            look_up.boolean("AUTH_SSL_REQUIRE_CLIENT_MAPPING", False),
        ), tuple(warnings)
    return None, tuple(warnings)


def _certificates(look_up: Parameters) -> list[tuple[Path, Path]]:
    """Return the pairs of certificate and key that are both readable."""
    certificates, keys = (_files(look_up, f"AUTH_SSL_SERVER_{kind}FILE") for kind in ("CERT", "KEY"))
    return [pair for pair in zip(certificates, keys, strict=False) if all(map(_is_readable, pair))]


def _files(look_up: Parameters, knob: str) -> list[Path]:
    return [Path(name.strip()) for name in look_up.text(knob).split(",") if name.strip()]


def _tls_context(look_up: Parameters, certificate: Path, key: Path) -> ssl.SSLContext:
    """Configure TLS as Condor_Auth_SSL::setup_ssl_ctx does; TLS sessions are never resumed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    if ciphers := look_up.text("AUTH_SSL_CIPHERLIST"):
        context.set_ciphers(ciphers)
    _load_authorities(look_up, context)
    context.load_cert_chain(certificate, key, password="")  # else an encrypted key prompts on the terminal
    return context


def _load_authorities(look_up: Parameters, context: ssl.SSLContext) -> None:
    bundles = [file for file in _files(look_up, "AUTH_SSL_SERVER_CAFILE") if _is_readable(file)]
    directory = look_up.text("AUTH_SSL_SERVER_CADIR")
    if bundles or directory:
        context.load_verify_locations(bundles[-1] if bundles else None, directory or None)  # HTCondor takes the last
    if look_up.boolean("AUTH_SSL_SERVER_USE_DEFAULT_CAS", True):
        context.set_default_verify_paths()


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(file.read(1))
    except (OSError, ValueError):
        return False
