"""Resolve a profile of the AWS configuration as `aws --profile` does, in a process with the requester's rights.

requester_supervisor runs this file stand-alone, after it has become the requester.  It imports the standard library
and, if the files differ from those that annexd knows, botocore.  Unlike botocore's default chain, this one does not
continue to the environment, a container's role or an instance's role, which belong to annexd.
"""

import codecs
import hashlib
import os
import stat
import subprocess
from collections.abc import Mapping
from typing import Any, Final

MAX_BYTES: Final = 1024 * 1024  # of one file
MAX_PRINTED: Final = 32768  # bytes of a credential_process's output; a session token has some thousand characters
LONGEST: Final = 500  # characters of quoted text
SECRETS: Final = (b"aws_secret_access_key", b"aws_session_token")
MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
CONFIG: Final = {"connect_timeout": 5.0, "read_timeout": 5.0, "retries": {"mode": "standard", "total_max_attempts": 2}}
SSO_LOGIN: Final = "log in (aws sso login --profile {name}) and try again"
BY_HAND: Final = "check it with `aws sts get-caller-identity --profile {name}`"
NOT_YOURS: Final = (
    "credential_source = {source} selects keys of the host where annexd runs, which are not yours: remove it from the "
    "profile; if annexd lends its own keys, order without keys"
)


class Fault(Exception):
    """The profile gives no keys; the text says why.  `transient`: a retry may succeed."""

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return keys, or a fault, or only the digest if the files are unchanged since `request["known"]`; all as JSON."""
    try:
        digest = _digest(request)
        if digest == request["known"]:
            return {"digest": digest}
        return {"digest": digest, **_resolved(request)}
    except Fault as fault:
        return {"fault": str(fault)[: 4 * LONGEST], "transient": fault.transient}


# The two files.


def _digest(request: Mapping[str, Any]) -> str:
    """Return a digest of both files.  Raises Fault for what botocore would misread and for exposed secrets."""
    contents = [_content(request["environment"][name]) for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")]
    if not any(contents):
        raise Fault(
            f"{request['environment']['AWS_CONFIG_FILE']} and "
            f"{request['environment']['AWS_SHARED_CREDENTIALS_FILE']} are missing or empty on the host where "
            "annexd runs"
        )
    return hashlib.sha256(repr(contents).encode()).hexdigest()


def _content(path: str) -> bytes:
    """Read a file; a missing one is empty.  Raises Fault."""
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
        raise Fault(f"{path} begins with a byte order mark: save it as UTF-8 without BOM")
    if status.st_mode & 0o077 and any(secret in content for secret in SECRETS):
        raise Fault(
            f"{path} holds keys and is accessible to others (mode {stat.S_IMODE(status.st_mode):04o}): chmod 600 it"
        )
    return content


# botocore.


def _resolved(request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        from botocore import exceptions
    except ImportError as error:
        raise Fault(f"{request['environment']['USER']} cannot read annexd's Python packages: {error}") from error
    name = request["profile"]
    try:
        return _keys(request)
    except Fault:
        raise
    except exceptions.ClientError as error:
        response = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        message = f"{error.operation_name} was refused ({response.get('Code')}): {_short(response.get('Message'))}"
        raise Fault(message, transient=status >= 500 or "Throttl" in str(response.get("Code"))) from error
    except (exceptions.UnauthorizedSSOTokenError, exceptions.SSOError, exceptions.TokenRetrievalError) as error:
        raise Fault(f"{_short(error)}; {SSO_LOGIN.format(name=name)}") from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        raise Fault(_short(error), transient=True) from error
    except Exception as error:  # the edge: botocore may raise anything for any content of the files
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
            f"the profile {name} gives no keys: it has neither of aws_access_key_id, role_arn, sso_session and "
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
    """Check the profile and its source_profiles.  Raises Fault if the keys would not be the requester's."""
    seen: set[str] = set()
    while name and name not in seen:
        seen.add(name)
        profile = profiles.get(name, {})
        if source := profile.get("credential_source"):
            raise Fault(NOT_YOURS.format(source=_short(source)))
        if "mfa_serial" in profile and "role_arn" in profile:
            raise Fault(
                f"the profile {name} has an mfa_serial, but annexd cannot ask for its code: put temporary keys "
                "into a profile (aws sts get-session-token) and use that one"
            )
        name = str(profile.get("source_profile", ""))


def _session(request: Mapping[str, Any]) -> Any:
    import botocore.session
    from botocore.config import Config

    class EndpointSession(botocore.session.Session):  # type: ignore[misc]
        """A session whose clients use AWS's own endpoints, or the order's STS, with short time-outs."""

        def create_client(self, service_name: str, *arguments: Any, **keywords: Any) -> Any:
            config = Config(**CONFIG)
            if keywords.get("config") is not None:
                config = config.merge(keywords["config"])
            keywords |= {"config": config, "endpoint_url": request["urls"].get(service_name) or None}
            return super().create_client(service_name, *arguments, **keywords)

    return EndpointSession(profile=request["profile"])


def _chain(session: Any, request: Mapping[str, Any]) -> Any:
    """Return a provider chain of the profile only."""
    from botocore import credentials
    from botocore.session import Session

    run = _program(allowed=request["may_run"], name=request["profile"])
    name, region = request["profile"], request["region"]

    class Providers(credentials.ProfileProviderBuilder):  # type: ignore[misc]
        """botocore's providers, with a restricted way to run a program; also for source_profile."""

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
    """Return a replacement for subprocess.Popen whose messages contain neither command line nor output."""

    class CredentialProgram:
        returncode = 0

        def __init__(self, arguments: list[str], **_: object) -> None:
            if not allowed:
                raise Fault(
                    f"the profile {name} has a credential_process, which this annexd does not run "
                    "(ANNEX_ALLOW_CREDENTIAL_PROCESS)"
                )
            try:
                self._child = subprocess.Popen(
                    arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
            except (OSError, IndexError, ValueError) as error:
                message = getattr(error, "strerror", None) or "it is not a command"
                raise Fault(
                    f"its credential_process cannot be started on the host where annexd runs: {message}; use "
                    "the program's absolute path"
                ) from error

        def communicate(self) -> tuple[bytes, bytes]:
            assert self._child.stdout is not None  # noqa: S101 - it is a pipe
            printed = self._child.stdout.read(MAX_PRINTED + 1)
            if len(printed) > MAX_PRINTED:
                self._child.kill()
                raise Fault(f"its credential_process prints more than {MAX_PRINTED} bytes")
            if status := self._child.wait():
                raise Fault(
                    f"its credential_process exited with status {status} on the host where annexd runs; "
                    f"{BY_HAND.format(name=name)}"
                )
            return printed, b""

    return CredentialProgram


def _short(message: object) -> str:
    return " ".join(str(message).split())[:LONGEST]
