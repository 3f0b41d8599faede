"""Resolve a profile of the AWS configuration as `aws --profile` does, in a process that is the requester.

requester_keeper runs this file by itself, after it has become the requester: it imports the standard library and, when
the files are not those that annexd knows already, botocore.  botocore's own chain goes on to the environment, to a
container's and to an instance's role; those are annexd's, and this one does not.
"""

import codecs
import hashlib
import os
import stat
import subprocess
from collections.abc import Mapping
from typing import Any, Final

MAX_BYTES: Final = 1024 * 1024  # of one file
MAX_PRINTED: Final = 32768  # of what a credential_process prints; a session token has some thousand characters
LONGEST: Final = 500  # of words that are not ours
SECRETS: Final = (b"aws_secret_access_key", b"aws_session_token")
MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
CONFIG: Final = {"connect_timeout": 5.0, "read_timeout": 5.0, "retries": {"mode": "standard", "total_max_attempts": 2}}
SSO_LOGIN: Final = "log in (aws sso login --profile {name}) and ask again"
BY_HAND: Final = "see what `aws sts get-caller-identity --profile {name}` says"
NOT_YOURS: Final = (
    "credential_source = {source} means keys of the host where annexd runs, which are not yours: leave it out of the "
    "profile; where annexd lends its own keys, order without keys"
)


class Fault(Exception):
    """There are no keys, and why; `transient`: there may be some in a moment."""

    def __init__(self, words: str, *, transient: bool = False) -> None:
        super().__init__(words)
        self.transient = transient


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Keys, or a fault in words, or only that the files are those of `request["known"]`: all as JSON."""
    try:
        digest = _digest(request)
        if digest == request["known"]:
            return {"digest": digest}
        return {"digest": digest, **_resolved(request)}
    except Fault as fault:
        return {"fault": str(fault)[: 4 * LONGEST], "transient": fault.transient}


# The two files.


def _digest(request: Mapping[str, Any]) -> str:
    """Of all that they say.  Raises Fault for what botocore would misread, and for secrets that others can read."""
    contents = [_content(request["environment"][name]) for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")]
    if not any(contents):
        raise Fault(
            f"there is neither {request['environment']['AWS_CONFIG_FILE']} nor "
            f"{request['environment']['AWS_SHARED_CREDENTIALS_FILE']}, or nothing in them, on the host where "
            "annexd runs"
        )
    return hashlib.sha256(repr(contents).encode()).hexdigest()


def _content(path: str) -> bytes:
    """Empty when there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise Fault(f"{path} cannot be opened: {error.strerror}") from error
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Fault(f"{path} is not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise Fault(f"{path} is larger than {MAX_BYTES} bytes")
    if content.startswith(MARKS):
        raise Fault(f"{path} begins with a byte order mark, as Windows' editors write it: save it as UTF-8 without BOM")
    if status.st_mode & 0o077 and any(secret in content for secret in SECRETS):
        raise Fault(
            f"{path} holds keys and can be read by others (mode {stat.S_IMODE(status.st_mode):04o}): chmod 600 it"
        )
    return content


# botocore.


def _resolved(request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        from botocore import exceptions
    except ImportError as error:
        raise Fault(f"annexd's Python packages cannot be read by {request['environment']['USER']}: {error}") from error
    name = request["profile"]
    try:
        return _keys(request)
    except Fault:
        raise
    except exceptions.ClientError as error:
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        words = f"{error.operation_name} was refused ({said.get('Code')}): {_short(said.get('Message'))}"
        raise Fault(words, transient=status >= 500 or "Throttl" in str(said.get("Code"))) from error
    except (exceptions.UnauthorizedSSOTokenError, exceptions.SSOError, exceptions.TokenRetrievalError) as error:
        raise Fault(f"{_short(error)}; {SSO_LOGIN.format(name=name)}") from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        raise Fault(_short(error), transient=True) from error
    except Exception as error:  # the edge: whatever botocore makes of whatever stands in the files
        raise Fault(f"{_short(error) or type(error).__name__}; {BY_HAND.format(name=name)}") from error


def _keys(request: Mapping[str, Any]) -> dict[str, Any]:
    name, session = request["profile"], _session(request)
    profiles = session.full_config.get("profiles", {})
    if name not in profiles:
        raise Fault(
            f"there is no profile {name} in {request['environment']['AWS_CONFIG_FILE']} or "
            f"{request['environment']['AWS_SHARED_CREDENTIALS_FILE']} on the host where annexd runs"
        )
    _check_sources(profiles, name)
    credentials = _chain(session, request).load_credentials()
    if credentials is None:
        raise Fault(
            f"the profile {name} gives no keys: it has neither aws_access_key_id nor role_arn, sso_session or "
            "credential_process"
        )
    frozen = credentials.get_frozen_credentials()
    expiry = getattr(credentials, "_expiry_time", None)  # as `aws configure export-credentials` reads it
    return {
        "access_key_id": frozen.access_key,
        "secret_access_key": frozen.secret_key,
        "session_token": frozen.token,
        "expires_at_s": expiry.timestamp() if expiry else None,
    }


def _check_sources(profiles: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """Of the profile, and of those that it takes its keys from.  Raises Fault for what is not the requester's."""
    seen: set[str] = set()
    while name and name not in seen:
        seen.add(name)
        profile = profiles.get(name, {})
        if source := profile.get("credential_source"):
            raise Fault(NOT_YOURS.format(source=_short(source)))
        if "mfa_serial" in profile and "role_arn" in profile:
            raise Fault(
                f"the profile {name} has an mfa_serial, and annexd cannot ask for its code: put temporary keys "
                "into a profile (aws sts get-session-token), and use that"
            )
        name = str(profile.get("source_profile", ""))


def _session(request: Mapping[str, Any]) -> Any:
    import botocore.session
    from botocore.config import Config

    class EndpointSession(botocore.session.Session):  # type: ignore[misc]
        """Its clients ask AWS's own endpoints, or the STS of the order, and are not patient."""

        def create_client(self, service_name: str, *arguments: Any, **keywords: Any) -> Any:
            config = Config(**CONFIG)
            if keywords.get("config") is not None:
                config = config.merge(keywords["config"])
            keywords |= {"config": config, "endpoint_url": request["urls"].get(service_name) or None}
            return super().create_client(service_name, *arguments, **keywords)

    return EndpointSession(profile=request["profile"])


def _chain(session: Any, request: Mapping[str, Any]) -> Any:
    """What a profile may say, and nothing else."""
    from botocore import credentials
    from botocore.session import Session

    run = _program(allowed=request["may_run"], name=request["profile"])
    name, region = request["profile"], request["region"]

    class Providers(credentials.ProfileProviderBuilder):  # type: ignore[misc]
        """botocore's, with our way to run a program; also for source_profile."""

        def providers(self, profile_name: str, **_: object) -> list[Any]:
            process = credentials.ProcessProvider(profile_name, lambda: session.full_config, popen=run)
            return [
                process if each.METHOD == process.METHOD else each
                for each in super().providers(profile_name, disable_env_vars=True)
            ]

    def client(service_name: str, **keywords: Any) -> Session:
        return session.create_client(service_name, **{"region_name": region, **keywords})

    builder = Providers(session, cache={}, region_name=region)
    role = credentials.AssumeRoleProvider(
        load_config=lambda: session.full_config,
        client_creator=client,
        cache={},
        profile_name=name,
        credential_sourcer=credentials.CanonicalNameCredentialSourcer([]),
        profile_provider_builder=builder,
    )
    return credentials.CredentialResolver([role, *builder.providers(name)])


def _program(*, allowed: bool, name: str) -> Any:
    """What botocore takes for subprocess.Popen; its words never hold the command line, nor what a program prints."""

    class CredentialProgram:
        returncode = 0

        def __init__(self, arguments: list[str], **_: object) -> None:
            if not allowed:
                raise Fault(
                    f"the profile {name} names a credential_process, and this annexd runs none "
                    "(ANNEX_ALLOW_CREDENTIAL_PROCESS)"
                )
            try:
                self._child = subprocess.Popen(
                    arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
            except (OSError, IndexError, ValueError) as error:
                words = getattr(error, "strerror", None) or "it is no command"
                raise Fault(
                    f"its credential_process cannot be started on the host where annexd runs: {words}; name "
                    "the program by its whole path"
                ) from error

        def communicate(self) -> tuple[bytes, bytes]:
            assert self._child.stdout is not None  # noqa: S101 - it is a pipe
            printed = self._child.stdout.read(MAX_PRINTED + 1)
            if len(printed) > MAX_PRINTED:
                self._child.kill()
                raise Fault(f"its credential_process prints more than {MAX_PRINTED} bytes")
            if status := self._child.wait():
                raise Fault(
                    f"its credential_process ended with status {status} on the host where annexd runs; "
                    f"{BY_HAND.format(name=name)}"
                )
            return printed, b""

    return CredentialProgram


def _short(words: object) -> str:
    return " ".join(str(words).split())[:LONGEST]
