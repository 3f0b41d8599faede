"""Read an AWS key from a file, and report common mistakes in such files before AWS is called.

No text here quotes a file's content, since any content may be a secret.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Final

from annexd.aws.credentials import LONG_LIVED, TEMPORARY, Credentials

KEY: Final = re.compile(r"[\x21-\x7e]{1,512}")  # one word of ASCII; AWS's are 20 and 40 characters long
TOKEN: Final = re.compile(r"[\x21-\x7e]{1,32768}")  # AWS documents no limit, and says that tokens grow
ACCESS_KEY_ID: Final = re.compile(r"A[KS]IA[A-Z0-9]{12,124}")
SECRET_ACCESS_KEY: Final = re.compile(r"(?!A[KS]IA)[A-Za-z0-9/+=]{40}")
OTHER_IDS: Final = {"AIDA": "a user", "AROA": "a role", "AGPA": "a group", "ANPA": "a policy", "AIPA": "a profile"}
BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "begins with a byte order mark, as Windows' editors write it: save it as UTF-8 without BOM"),
    (codecs.BOM_UTF16_LE, "is UTF-16 text, as PowerShell's > writes it: save it as ASCII"),
    (codecs.BOM_UTF16_BE, "is UTF-16 text: save it as ASCII"),
)
FORMS: Final = (  # other files that people use instead of one with a single key
    (re.compile(r"-----BEGIN "), "is a PEM file, such as an SSH key, and no AWS key"),
    (re.compile(r"\s*\[[^\n]*\]\s*\n"), "is an AWS credentials file: use its profile (-profile NAME) instead"),
    (re.compile(r"\s*\{"), "is JSON, such as an answer of AWS: put only the value into it"),
    (re.compile(r"[^\n]*access key", re.IGNORECASE), "is the console's CSV: put only the value into it"),
    (re.compile(r"[^\n=]*\bAWS_\w+\s*=", re.IGNORECASE), "sets a variable: put only the value into it"),
    (re.compile(r"\s*[\"'].*[\"']\s*$"), "holds the value in quotes: remove the quotes"),
)


class NotAKey(ValueError):
    """The file holds no key; the text follows the file's name and quotes nothing from the file."""


def key_in(content: bytes, form: re.Pattern[str] = KEY) -> str:
    """Return the one key in a file, without surrounding white space and CR.  Raises NotAKey."""
    for mark, found_as in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            raise NotAKey(found_as)
    text = content.decode("latin-1")
    if not text.strip():
        raise NotAKey("is empty")
    key = text.strip()
    for pattern, found_as in FORMS:
        if pattern.match(text):
            raise NotAKey(found_as)
    if not form.fullmatch(key):
        raise NotAKey("must hold one AWS key and nothing else")
    return key


def token_in(content: bytes) -> str:
    """Return the session token in a file, read in the same way."""
    return key_in(content, TOKEN)


def faults_of(credentials: Credentials) -> list[str]:
    """Return the faults of keys for which AWS's own message would be misleading; empty if there are none."""
    return list(_faults(credentials))


def _faults(credentials: Credentials) -> Iterator[str]:
    key_id, secret = credentials.access_key_id, credentials.secret_access_key.reveal()
    if ACCESS_KEY_ID.fullmatch(secret):
        swapped = SECRET_ACCESS_KEY.fullmatch(key_id)
        yield (
            "the access key ID and the secret are swapped"
            if swapped
            else ("there is an access key ID in place of the secret access key")
        )
    elif SECRET_ACCESS_KEY.fullmatch(key_id):
        yield "there is a secret in place of the access key ID, which begins with AKIA or ASIA"
    elif key_id[:4] in OTHER_IDS and len(key_id) > len(LONG_LIVED):
        yield f"{key_id[:4]}... is the ID of {OTHER_IDS[key_id[:4]]}; an access key ID begins with AKIA or ASIA"
    elif key_id.startswith(TEMPORARY) and credentials.session_token is None:
        yield "ASIA... is a temporary key, which AWS accepts only with its session token"
    elif key_id.startswith(LONG_LIVED) and credentials.session_token is not None:
        yield "AKIA... is a long-lived key, which has no session token: the token belongs to another key"
