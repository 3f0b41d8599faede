"""Format a certificate's subject as OpenSSL's X509_NAME_oneline does, which map files match.

/DC=org/O=Example Site/CN=alice
"""

import ssl

from cryptography import x509

_PRINTABLE = range(0x20, 0x7F)


class MalformedSubject(ValueError):
    """TLS accepted the certificate, but its subject cannot be read."""


def oneline(certificate: bytes) -> str:
    """Return the subject of a DER certificate on one line.  Raises MalformedSubject.

    Unlike in OpenSSL, a BMPString or UniversalString, both long obsolete, is written as UTF-8.
    """
    try:
        subject = x509.load_der_x509_certificate(certificate).subject
        return "".join(f"/{_short_name(each.oid.dotted_string)}={_escaped(each.value)}" for each in subject)
    except ValueError as error:
        raise MalformedSubject(str(error)) from error


def _short_name(dotted: str) -> str:
    """Return OpenSSL's short name of an attribute (CN), or its number if it has none."""
    try:
        return ssl._ASN1Object(dotted).shortname
    except ValueError:
        return dotted


def _escaped(value: str | bytes) -> str:
    encoded = value.encode() if isinstance(value, str) else value
    return "".join(chr(byte) if byte in _PRINTABLE else f"\\x{byte:02X}" for byte in encoded)
