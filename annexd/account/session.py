"""Provide AWS clients with the caller's own credentials.

These come from a profile, two key files, or botocore's own chain: the environment, AWS_PROFILE, an instance's role.
botocore's AWS_ENDPOINT_URL redirects all calls.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.exceptions import NoCredentialsError, PartialCredentialsError, ProfileNotFound

from annexd.account.errors import AccountError, UnusableFile
from annexd.aws import Credentials, NotAKey, SecretKey, errors, faults_of, key_in, model_loader, token_in
from annexd.aws.errors import AWS_ERRORS

CONFIG: Final = {
    "connect_timeout": 10.0,
    "read_timeout": 60.0,
    "retries": {"mode": "standard", "total_max_attempts": 5},
    "user_agent_extra": "condor_annex",
    "request_checksum_calculation": "when_required",
    "s3": {"us_east_1_regional_endpoint": "regional"},
}
MAX_KEY_BYTES: Final = 65536  # AWS's keys have 20 and 40 characters, tokens some thousand
WAYS: Final = (
    "use -profile NAME, or -access-key-file and -secret-key-file, or run this on an instance with a suitable role"
)


class Session:
    """Clients with one set of credentials, created once for each service and region."""

    def __init__(self, profile: str | None = None, credentials: Credentials | None = None) -> None:
        self._session = botocore.session.Session(profile=profile)
        self._session.register_component("data_loader", model_loader())
        self._keys = credentials.parameters if credentials else {}
        self._clients: dict[tuple[str, str], Any] = {}
        self.skew_s = 0.0  # seconds by which AWS's clock is ahead of this host's, at the latest response

    def region(self) -> str | None:
        """Return the region of the AWS configuration, or None."""
        with translate_aws_errors("the AWS configuration"):
            region = self._session.get_config_variable("region")
        return str(region) if region else None

    def client(self, service: str, region: str) -> Any:
        """Return a client.  Raises AccountError for an unknown region, or without credentials."""
        if (service, region) not in self._clients:
            with translate_aws_errors(f"a client of {service} in {region}"):
                made = self._session.create_client(service, region_name=region, config=Config(**CONFIG), **self._keys)
            made.meta.events.register_first("after-call", self._compare_clocks)
            self._clients[service, region] = made
        return self._clients[service, region]

    def is_region(self, region: str) -> bool:
        """Return whether this version of botocore knows the region."""
        partitions = self._session.get_available_partitions()
        return any(region in self._session.get_available_regions("ec2", partition) for partition in partitions)

    def _compare_clocks(self, http_response: Any, **_: object) -> None:
        try:
            said = parsedate_to_datetime(http_response.headers.get("Date"))
        except (TypeError, ValueError):
            return
        self.skew_s = said.timestamp() - time.time()


def key_files(public: str | None, secret: str | None, token: str | None = None) -> Credentials | None:
    """Read keys from two files, and a session token from a third, with the caller's own rights; None without files.

    Raises UnusableFile.
    """
    if not public or not secret:
        return None
    session_token = SecretKey(_key(token, token_in)) if token else None
    credentials = Credentials(_key(public), SecretKey(_key(secret)), session_token)
    if faults := faults_of(credentials):
        raise UnusableFile(
            *(
                f"{public}, {secret}: {fault} (-session-token-file FILE)"
                if "token" in fault
                else f"{public}, {secret}: {fault}"
                for fault in faults
            )
        )
    return credentials


def _key(file: str, read: Callable[[bytes], str] = key_in) -> str:
    try:
        with open(file, "rb") as opened:
            return read(opened.read(MAX_KEY_BYTES))
    except OSError as error:
        raise UnusableFile(f"{file} cannot be read: {error.strerror}") from error
    except NotAKey as error:
        raise UnusableFile(f"{file} {error}") from error


@contextmanager
def translate_aws_errors(what: str) -> Iterator[None]:
    """Convert errors of AWS and of the network into an AccountError that names the operation."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise AccountError("no AWS credentials were found", WAYS) from error
    except ProfileNotFound as error:
        raise AccountError(str(error), "list the profiles with `aws configure list-profiles`") from error
    except AWS_ERRORS as error:
        raise AccountError(errors.describe(error, what)) from error
