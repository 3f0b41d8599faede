"""Read the deployed code of a Lambda function: the files of its zip, from the URL in GetFunction's response.

CodeSha256 is that of the zip, which includes the times that CloudFormation wrote into it.  So it shows whether the code
has changed since the last look, but not what it is.  AWS signs the URL, which is valid for ten minutes and needs no
keys.
"""

import io
import zipfile
import zlib
from typing import Final
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError

TIMEOUT_S: Final = 20.0
MAX_ZIP_BYTES: Final = 4 * 2**20  # ours has a hundredth of it
MAX_FILES: Final = 20
AWS_DOMAINS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu")


class NoCode(Exception):
    """The code could not be read; the text says why."""


def function_files(location: str, endpoint_url: str) -> dict[str, bytes]:
    """Return the files by name; `endpoint_url` is that of the Lambda service that returned the URL.  Raises NoCode."""
    from botocore.awsrequest import AWSRequest  # imported when needed, as in clients.py
    from botocore.httpsession import URLLib3Session

    from annexd.aws.bounds import BoundedSession, OutOfBounds

    if not _may_hold_code(location, endpoint_url):
        raise NoCode("its code cannot be downloaded: the address is neither AWS's nor that endpoint's")
    session = BoundedSession(
        URLLib3Session(timeout=TIMEOUT_S), location, call_s=TIMEOUT_S, max_bytes=MAX_ZIP_BYTES, max_items=None
    )
    try:
        answer = session.send(AWSRequest("GET", location).prepare())
        content = answer.content
    except OutOfBounds as error:
        raise NoCode(f"its code cannot be downloaded: {error}") from error
    except BotoCoreError as error:
        name = type(error).__name__  # its text contains the signed URL
        raise NoCode(f"its code cannot be downloaded: {name}") from error
    if answer.status_code != 200:
        raise NoCode(f"its code cannot be downloaded: HTTP status {answer.status_code}")
    return _unpacked(content)


def _may_hold_code(location: str, endpoint_url: str) -> bool:
    """Accept only https URLs of AWS and URLs of the endpoint itself.

    A false endpoint could return any URL that annexd's network reaches.
    """
    url, endpoint = urlsplit(location), urlsplit(endpoint_url)
    of_aws = url.scheme == "https" and (url.hostname or "").endswith(AWS_DOMAINS)
    return of_aws or (url.scheme, url.netloc) == (endpoint.scheme, endpoint.netloc)


def _unpacked(content: bytes) -> dict[str, bytes]:
    """Unpack with a size limit, since a deployed zip may be a bomb."""
    if len(content) > MAX_ZIP_BYTES:
        raise NoCode(f"its code has {len(content)} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = [info for info in archive.infolist() if not info.is_dir()]
            if len(files) > MAX_FILES or sum(info.file_size for info in files) > MAX_ZIP_BYTES:
                raise NoCode(f"its code has {len(files)} files of {sum(info.file_size for info in files)} bytes")
            return {info.filename: archive.read(info) for info in files}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise NoCode(f"its code is not a readable zip file: {error}") from error
