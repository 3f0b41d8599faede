"""AUTH_SSL_SERVER_*: the certificate that is used, and the warnings about a broken one."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from annexd.cedar.context import Tls
from annexd.cedar.subject import oneline
from annexd.daemoncore.config.parameters import Parameters
from annexd.daemoncore.security.certificates import read_tls
from test.cedar.certificates import HOST, Authority, client_context, person


class Settings(Parameters):
    """A configuration with these settings only."""

    def __init__(self, **settings: object) -> None:
        super().__init__()
        self._settings = settings

    def text(self, name: str, default: str = "") -> str:
        return str(self._settings.get(name.removeprefix("AUTH_SSL_"), default))

    def boolean(self, name: str, default: bool) -> bool:
        return bool(self._settings.get(name.removeprefix("AUTH_SSL_"), default))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def read(*pairs: tuple[str, str], **settings: object) -> tuple[Tls | None, tuple[str, ...]]:
    files = {f"SERVER_{kind}FILE": ", ".join(pair[end] for pair in pairs) for end, kind in enumerate(("CERT", "KEY"))}
    return read_tls(Settings(**{**files, **settings}))


def shown(tls: Tls | None, client: ssl.SSLContext) -> str:
    """Return the common name of the certificate that a client receives."""
    assert tls is not None
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours, theirs = tls.context.wrap_bio(up, down, server_side=True), client.wrap_bio(down, up, server_hostname=HOST)
    for side in (theirs, ours) * 3:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    certificate = theirs.getpeercert(binary_form=True)
    assert certificate
    return oneline(certificate).rpartition("=")[2]


def test_the_first_usable_pair_is_used(authority: Authority, tmp_path: Path) -> None:
    first, second = (authority.make(name, person(name), host=HOST) for name in ("first", "second"))
    missing = (str(tmp_path / "no.pem"), str(tmp_path / "no.key"))
    tls, warnings = read(missing, (first[0], missing[1]), first, second)
    assert shown(tls, client_context(authority)) == "first"
    assert warnings == ()


@pytest.mark.parametrize("settings", [{}, {"SERVER_CERTFILE": "/nowhere.pem", "SERVER_KEYFILE": "/nowhere.key"}])
def test_without_a_readable_certificate_ssl_is_not_offered(settings: dict[str, object]) -> None:
    assert read_tls(Settings(**settings)) == (None, ())


def test_a_broken_pair_is_reported_and_the_next_is_tried(authority: Authority, tmp_path: Path) -> None:
    good, other = (authority.make(name, person(name), host=HOST) for name in ("good", "other"))
    (tmp_path / "broken.pem").write_text("no certificate")
    tls, warnings = read((str(tmp_path / "broken.pem"), good[1]), (other[0], good[1]), good)
    assert shown(tls, client_context(authority)) == "good"
    assert [warning.partition(" and the key")[0] for warning in warnings] == [
        f"SSL is not offered with the certificate {tmp_path}/broken.pem",
        f"SSL is not offered with the certificate {other[0]}",
    ]


def test_a_key_with_a_passphrase_does_not_prompt(authority: Authority, tmp_path: Path) -> None:
    certificate, _ = authority.make("host", person("host"))
    locked = tmp_path / "locked.key"
    key, how = ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    tls, [warning] = read((certificate, str(locked)))
    assert tls is None
    assert str(locked) in warning


def test_unknown_ciphers_are_reported(authority: Authority) -> None:
    tls, [warning] = read(authority.make("host", person("host")), CIPHERLIST="NONE-OF-THESE")
    assert tls is None
    assert "AUTH_SSL_CIPHERLIST" in warning


def test_invalid_authorities_are_reported(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "bundle.pem").write_text("no certificate")
    tls, [warning] = read(authority.make("host", person("host")), SERVER_CAFILE=tmp_path / "bundle.pem")
    assert tls is None
    assert "_CAFILE" in warning


def test_versions_older_than_tls_1_2_are_refused(authority: Authority) -> None:
    tls, _ = read(authority.make("host", person("host"), host=HOST))
    assert tls is not None
    assert tls.context.minimum_version == ssl.TLSVersion.TLSv1_2
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = client_context(authority)
        client.maximum_version = version
        assert shown(tls, client) == "host"


def test_clients_are_asked_for_certificates_and_trusted_by_the_configured_authorities_alone(
    authority: Authority, tmp_path: Path
) -> None:
    host, alice = authority.make("host", person("host"), host=HOST), authority.make("alice", person("alice"))
    tls, _ = read(host, SERVER_CAFILE=f"{tmp_path}/no.pem, {authority.file}", SERVER_USE_DEFAULT_CAS=False)
    assert shown(tls, client_context(authority, alice)) == "host"
    assert tls is not None
    assert [oneline(each) for each in tls.context.get_ca_certs(binary_form=True)] == ["/CN=ca"]
    distrustful, _ = read(host, SERVER_USE_DEFAULT_CAS=False)
    with pytest.raises(ssl.SSLCertVerificationError):
        shown(distrustful, client_context(authority, alice))


def test_the_configuration_decides_what_is_required_of_clients(authority: Authority) -> None:
    tls, _ = read(authority.make("host", person("host")), REQUIRE_CLIENT_CERTIFICATE=True)
    assert tls is not None
    assert (tls.require_certificate, tls.require_mapping) == (True, False)
