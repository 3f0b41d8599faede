"""Make AWS clients from the requester's keys, again for each call, so that rotated keys are used.

The daemon reads the files and resolves the profiles with the requester's rights.  Keys stay in memory, never in a
file.  Every effect, undo, cancellation and inventory gets its clients here.  So this module checks two things each
time: the keys belong to the account in which the order was made, and lent keys are sent only to the administrator's
endpoints.
"""

from collections.abc import Callable
from typing import Final, Protocol

from annexd.annex.request.account_target import AccountTarget, Requester
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.key_source import KeySource, NoKeys, NoProfiles, Profile, ProfileKeys
from annexd.annex.request.lending import URLS, faults_of_endpoints, own_endpoints
from annexd.annex.translate_aws_errors import translate_aws_errors
from annexd.aws import (
    ClientCache,
    Clients,
    Credentials,
    Endpoints,
    NotAKey,
    SecretKey,
    account_of_function,
    faults_of,
    key_in,
    token_in,
)
from annexd.aws.credentials import TEMPORARY
from annexd.aws.errors import SHAPE_ERRORS
from annexd.workflow import Refused, Retry

LONGEST: Final = 500  # of a quoted message
INVALID_REQUEST: Final = "InvalidRequest"  # HTCondor's result (command_strings.h): the requester can correct it


class Access(Protocol):
    """Make clients with keys of the target's account.  Raises Retry, or Refused with a message for the requester."""

    def __call__(self, target: AccountTarget, /) -> Clients: ...


def no_access(target: AccountTarget, /) -> Clients:
    """Refuse access to every account: an order that names its images by their IDs needs no access."""
    raise Refused(f"nothing in {target.endpoints.region} can be queried here", untouched=True, local=True)


class KeyFiles:
    """Makes clients with the key files or the profile that a target names, or else with boto3's own chain.

    `read_as(owner, path)` reads a file with the owner's rights, or raises OSError with a message.
    """

    def __init__(
        self,
        read_as: Callable[[str, str], bytes],
        cache: ClientCache | None = None,
        *,
        defaults: Defaults | None = None,
        profiles: ProfileKeys | None = None,
    ) -> None:
        self._read_as = read_as
        self._profiles = profiles or NoProfiles()
        self._cache = cache or ClientCache()
        self._cache.on_expired = self._profiles.forget
        self.reconfigure(defaults or Defaults())

    def reconfigure(self, defaults: Defaults) -> None:
        self._defaults = defaults
        own = own_endpoints(defaults)
        self._cache.traffic.trusted_urls = frozenset(getattr(own, name) for name in URLS)

    def __call__(self, target: AccountTarget) -> Clients:
        credentials = self._credentials(target.requester, target.endpoints)
        clients = self._clients(credentials, target.endpoints)
        self._check_account(target, clients)
        return clients

    @property
    def skew_s(self) -> int:
        """Return by how much AWS's clock is ahead of this host's; 0 when they agree."""
        return self._cache.traffic.skew_s

    @property
    def throttled_accounts(self) -> int:
        """Return the number of accounts whose calls are slowed down because AWS throttled one."""
        return self._cache.traffic.limiters.limiting()

    def counters(self) -> dict[str, int]:
        """Return the calls to AWS since the start, as attributes of the daemon's ad."""
        return self._cache.traffic.calls.counters()

    def _credentials(self, requester: Requester, endpoints: Endpoints) -> Credentials | None:
        source = requester.keys
        if not source.is_given:
            self._check_lending(endpoints)
            return None
        credentials = self._given(self._reader(requester), source, endpoints)
        if faults := faults_of(credentials):
            raise _unusable(f"{source} cannot be used: {'; '.join(faults)}{_token_hint(source, credentials)}")
        return credentials

    def _given(self, reader: str, source: KeySource, endpoints: Endpoints) -> Credentials:
        if source.profile is not None:
            return self._of_profile(reader, source, source.profile, endpoints)
        token = source.session_token_file
        return Credentials(
            self._key(reader, "PublicKeyFile", source.public_key_file),
            SecretKey(self._key(reader, "SecretKeyFile", source.secret_key_file)),
            None if token is None else SecretKey(self._key(reader, "SessionTokenFile", token, token_in)),
        )

    def _of_profile(self, reader: str, source: KeySource, name: str, endpoints: Endpoints) -> Credentials:
        profile = Profile(name, source.config_file, source.credentials_file, endpoints.region, endpoints.sts_url)
        try:
            return self._profiles.resolve(reader, profile)
        except (NoKeys, OSError) as error:
            message = f"AWSProfile {name} cannot be used: {error}"
            if getattr(error, "transient", False):
                raise Retry(message, untouched=True) from error
            raise _unusable(message) from error

    def _reader(self, requester: Requester) -> str:
        """Return the user whose rights read the files: the owner's account at the time of the order, in today's
        UID_DOMAIN.
        """
        account, uid_domain = requester.account, self._defaults.uid_domain
        return f"{account}@{uid_domain}" if account and uid_domain else requester.owner

    def _clients(self, credentials: Credentials | None, endpoints: Endpoints) -> Clients:
        """Make the clients.  Only boto3's chain may send requests here, to find annexd's own keys."""
        with translate_aws_errors("preparing these keys and endpoints"):
            try:
                return self._cache.clients(credentials, endpoints)
            except (*SHAPE_ERRORS, OSError) as error:  # a host name, ~/.aws/config, what it names
                message = f"these keys and endpoints cannot be used: {str(error)[:LONGEST]}"
                raise Refused(message, untouched=True, local=True) from error

    def _check_lending(self, endpoints: Endpoints) -> None:
        """Check the lending again, since the configuration may have changed since the order."""
        if not self._defaults.allow_default_credentials:
            raise Refused("this annexd no longer lends keys of its own", untouched=True, local=True)
        if faults := faults_of_endpoints(endpoints, self._defaults):
            raise Refused("; ".join(faults), untouched=True, local=True)

    def _check_account(self, target: AccountTarget, clients: Clients) -> None:
        """Refuse keys of another account: in it the order's resources appear to be gone, and would be created a second
        time.
        """
        arn, whose = target.lease_function_arn, _whose(target.requester)
        expected = account_of_function(arn)
        try:
            with translate_aws_errors(f"GetCallerIdentity with {whose}"):
                found = clients.account()
        except (Retry, Refused) as error:
            error.untouched = True  # of the order's subject
            raise
        if found != expected:
            message = (
                f"{whose} belong to AWS account {found}, but the order belongs to account {expected} (see {arn}): use "
                f"keys of {expected}"
            )
            raise Refused(message, untouched=True, local=True)

    def _key(self, owner: str, attribute: str, path: str | None, read: Callable[[bytes], str] = key_in) -> str:
        if path is None:
            raise _unusable(f"{attribute} is missing: key files come in pairs")
        try:
            return read(self._read_as(owner, path))
        except OSError as error:
            raise _unusable(f"{attribute} cannot be used: {error}") from error
        except NotAKey as error:
            raise _unusable(f"{attribute} {path} {error}") from error


def _unusable(message: str) -> Refused:
    """Return a refusal for a fault of the requester; AWS was not called."""
    return Refused(message, untouched=True, local=True, result=INVALID_REQUEST)


def _token_hint(source: KeySource, credentials: Credentials) -> str:
    """Return where a session token belongs, if a missing token is the fault."""
    if credentials.session_token is not None or not credentials.access_key_id.startswith(TEMPORARY):
        return ""
    return (
        "; put it into the profile as aws_session_token"
        if source.profile is not None
        else "; give it as SessionTokenFile"
    )


def _whose(requester: Requester) -> str:
    keys = requester.keys
    return f"the keys of {requester.owner} ({keys})" if keys.is_given else "the keys that annexd lends"
