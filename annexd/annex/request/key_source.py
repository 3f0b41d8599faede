"""The source of the requester's AWS keys: files or a profile of an AWS configuration, never the keys themselves.

Orders and the journal keep these paths and names, and the keys are read from there for each call.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from annexd.annex.request.ad_attributes import AdAttributes, fault_of_path
from annexd.annex.request.faults import shown
from annexd.aws import Credentials

ATTRIBUTES: Final = {  # by field of KeySource
    "public_key_file": "PublicKeyFile",
    "secret_key_file": "SecretKeyFile",
    "session_token_file": "SessionTokenFile",
    "profile": "AWSProfile",
    "config_file": "AWSConfigFile",
    "credentials_file": "AWSCredentialsFile",
}
KEY_NAMES: Final = frozenset(name.lower() for name in ATTRIBUTES.values())
KEY_FILES: Final = ("public_key_file", "secret_key_file", "session_token_file")
OF_PROFILES: Final = ("config_file", "credentials_file")
LONGEST_PROFILE: Final = 256


@dataclass(frozen=True)
class Profile:
    """A requester's profile, with the order's region and STS endpoint (empty: AWS's own)."""

    name: str
    config_file: str | None  # None: ~/.aws/config
    credentials_file: str | None  # None: ~/.aws/credentials
    region: str
    sts_url: str = ""


class NoKeys(Exception):
    """A profile yields no keys; the text says why and what to do.  `transient`: a retry may succeed."""

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class ProfileKeys(Protocol):
    """Resolves profiles with the rights of their owners."""

    def resolve(self, owner: str, profile: Profile) -> Credentials:
        """Return the keys that a profile gives `owner` (user@domain) now.  Raises NoKeys."""

    def forget(self, credentials: Credentials) -> None:
        """Forget these keys: AWS says that they have expired."""


class NoProfiles:
    """Resolves no profiles."""

    def resolve(self, owner: str, profile: Profile) -> Credentials:
        raise NoKeys(f"this annexd does not read profiles: {profile.name} of {owner} cannot be used")

    def forget(self, credentials: Credentials) -> None:
        """Do nothing: no keys were given."""


@dataclass(frozen=True)
class KeySource:
    """Two or three files, a profile, or nothing, which means annexd's own keys if it lends them."""

    public_key_file: str | None = None
    secret_key_file: str | None = None
    session_token_file: str | None = None
    profile: str | None = None
    config_file: str | None = None
    credentials_file: str | None = None

    @classmethod
    def read(cls, own: AdAttributes) -> "KeySource":
        """Read the source from an ad; add faults to `own.faults`, in which case the result is unusable."""
        given = {
            field: own.text(name, fault_of_profile if field == "profile" else fault_of_path)
            for field, name in ATTRIBUTES.items()
        }
        own.faults += _faults(frozenset(field for field, name in ATTRIBUTES.items() if not own.missing(name)))
        return cls(**given)

    @property
    def is_given(self) -> bool:
        return self.profile is not None or self.public_key_file is not None

    def __str__(self) -> str:
        if self.profile is not None:
            return f"AWSProfile {self.profile}"
        return f"PublicKeyFile {self.public_key_file}"


def fault_of_profile(value: str) -> str | None:
    plain = len(value) <= LONGEST_PROFILE and not set(value) & set("[]\"'\\#;") and value == value.strip()
    return None if plain else f"must be the name of a profile in an AWS configuration, not {shown(value)}"


def _faults(given: frozenset[str]) -> list[str]:
    files = [ATTRIBUTES[field] for field in KEY_FILES if field in given]
    if "profile" in given:
        message = "exclude each other: keys come from a profile or from files"
        return [f"AWSProfile and {files[0]} {message}"] if files else []
    pair = [ATTRIBUTES[field] for field in ("public_key_file", "secret_key_file")]
    faults = [f"{name} is missing: key files come in pairs" for name in pair if files and name not in files]
    return faults + [f"{ATTRIBUTES[field]} goes with AWSProfile" for field in OF_PROFILES if field in given]
