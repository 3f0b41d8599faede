"""The subject of a certificate, on one line as OpenSSL's X509_NAME_oneline writes it: what map files know.

/DC=org/O=Example Site/CN=alice
"""

import ssl

from cryptography import x509

_PRINTABLE = range(0x20, 0x7F)


class MalformedSubject(ValueError):
    """A certificate that TLS took and whose subject nevertheless cannot be read."""


def oneline(certificate: bytes) -> str:
    """certificate: DER.  Raises MalformedSubject.

    A BMPString or UniversalString, which no authority has written for long, is shown by its UTF-8 here.
    """
    try:
        subject = x509.load_der_x509_certificate(certificate).subject
        return "".join(f"/{_short_name(each.oid.dotted_string)}={_escaped(each.value)}" for each in subject)
    except ValueError as error:
        raise MalformedSubject(str(error)) from error


def _short_name(dotted: str) -> str:
    """OpenSSL's own name of an attribute (CN), or its number where it has none."""
    try:
        return ssl._ASN1Object(dotted).shortname
    except ValueError:
        return dotted


def _escaped(value: str | bytes) -> str:
    encoded = value.encode() if isinstance(value, str) else value
    return "".join(chr(byte) if byte in _PRINTABLE else f"\\x{byte:02X}" for byte in encoded)
