"""The caller's own credentials, and clients of every service with them.

A profile, two key files, or whatever botocore's own chain finds: the environment, AWS_PROFILE, an instance's role.
AWS_ENDPOINT_URL is botocore's own, and sends all of it elsewhere.
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
MAX_KEY_BYTES: Final = 65536  # AWS's keys are 20 and 40 long, tokens some thousand
WAYS: Final = (
    "give -profile NAME, or -access-key-file and -secret-key-file, or run this on an instance whose role may do it"
)


class Session:
    """Clients of one set of credentials; made once for each service and region."""

    def __init__(self, profile: str | None = None, credentials: Credentials | None = None) -> None:
        self._session = botocore.session.Session(profile=profile)
        self._session.register_component("data_loader", model_loader())
        self._keys = credentials.parameters if credentials else {}
        self._clients: dict[tuple[str, str], Any] = {}
        self.skew_s = 0.0  # by which AWS's clock is ahead of this host's, at the newest answer

    def region(self) -> str | None:
        """The region that AWS's own configuration names."""
        with translate_aws_errors("the AWS configuration"):
            region = self._session.get_config_variable("region")
        return str(region) if region else None

    def client(self, service: str, region: str) -> Any:
        """Raises AccountError when there is no such region, or nothing to sign with."""
        if (service, region) not in self._clients:
            with translate_aws_errors(f"a client of {service} in {region}"):
                made = self._session.create_client(service, region_name=region, config=Config(**CONFIG), **self._keys)
            made.meta.events.register_first("after-call", self._compare_clocks)
            self._clients[service, region] = made
        return self._clients[service, region]

    def is_region(self, region: str) -> bool:
        """Whether there is such a region, as far as this botocore knows."""
        partitions = self._session.get_available_partitions()
        return any(region in self._session.get_available_regions("ec2", partition) for partition in partitions)

    def _compare_clocks(self, http_response: Any, **_: object) -> None:
        try:
            said = parsedate_to_datetime(http_response.headers.get("Date"))
        except (TypeError, ValueError):
            return
        self.skew_s = said.timestamp() - time.time()


def key_files(public: str | None, secret: str | None, token: str | None = None) -> Credentials | None:
    """The keys in two files, and a session token in a third, opened with the caller's own rights; None without files.

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
    """Make whatever AWS, or the way to it, raises inside an AccountError that says what was asked."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise AccountError("there are no AWS credentials to do this with", WAYS) from error
    except ProfileNotFound as error:
        raise AccountError(str(error), "`aws configure list-profiles` lists those that there are") from error
    except AWS_ERRORS as error:
        raise AccountError(errors.describe(error, what)) from error
