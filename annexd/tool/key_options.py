"""Describe in the command ad where the user's AWS keys are: paths and a profile name, never the keys.

Paths are made absolute, since annexd has another working directory.  The files are on annexd's host.
"""

import os
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from annexd.tool.errors import USAGE, ToolError
from annexd.tool.options import ToolOptions

Param: TypeAlias = Callable[[str], str | None]

OF_AWS_CLI: Final = {"AWSConfigFile": "AWS_CONFIG_FILE", "AWSCredentialsFile": "AWS_SHARED_CREDENTIALS_FILE"}
DEFAULTS: Final = {  # the knob with the default of each attribute
    "PublicKeyFile": "ANNEX_DEFAULT_ACCESS_KEY_FILE",
    "SecretKeyFile": "ANNEX_DEFAULT_SECRET_KEY_FILE",
    "SessionTokenFile": "ANNEX_DEFAULT_SESSION_TOKEN_FILE",
}


def keys_of(options: ToolOptions, param: Param, environment: Mapping[str, str] = os.environ) -> dict[str, str | None]:
    """Return these attributes; options are never mixed with configured defaults.  Raises ToolError."""
    if options.profile is not None:
        return _profile(options.profile, environment)
    files = _files(options, param)
    if not any(files.values()) and (name := param("ANNEX_DEFAULT_PROFILE")):
        return _profile(name, environment)
    check_pair(files["PublicKeyFile"], files["SecretKeyFile"], files["SessionTokenFile"])
    return {name: _absolute(path) if path else None for name, path in files.items()}


def check_pair(public: str | None, secret: str | None, token: str | None) -> None:
    """Raise ToolError unless the files form a pair."""
    pair = {"-access-key-file": public, "-secret-key-file": secret}
    missing = [option for option, path in pair.items() if not path]
    if missing and (public or secret or token):
        message = "are missing" if len(missing) > 1 else "is missing"
        raise ToolError(USAGE, f"{' and '.join(missing)} {message}: AWS keys are an ID and a secret, in one file each")


def _files(options: ToolOptions, param: Param) -> dict[str, str | None]:
    given = (options.public_key_file, options.secret_key_file, options.session_token_file)
    if any(path is not None for path in given):
        return dict(zip(DEFAULTS, given, strict=True))
    return {name: param(knob) for name, knob in DEFAULTS.items()}


def _profile(name: str, environment: Mapping[str, str]) -> dict[str, str | None]:
    """Return the profile, with the files that the AWS CLI would read here unless they are the default ones."""
    files = {attribute: environment.get(variable) for attribute, variable in OF_AWS_CLI.items()}
    absolute = {attribute: _absolute(path) for attribute, path in files.items() if path}
    return {"AWSProfile": name, **absolute}


def _absolute(path: str) -> str:
    """Resolve ~, too, which no shell has seen in HTCondor's configuration or after an equals sign."""
    return os.path.abspath(os.path.expanduser(path))
