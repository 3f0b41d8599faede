"""The security configuration in force, as a server of connections uses it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from annexd.authorization import AuthorizationPolicy, Verdict
from annexd.cedar.context import ServerContext
from annexd.cedar.secret import Secret
from annexd.daemoncore.security.resolver import CACHED_S
from annexd.daemoncore.ttl_cache import TtlCache

KEY_KEPT_S = 1.0  # a removed signing key stays valid for at most this long

ReadKey = Callable[[str], Secret | None]


@dataclass(frozen=True)
class Security:
    """The security configuration and the decisions cached under it; replaced as a whole at reconfig."""

    context: ServerContext
    authorization: AuthorizationPolicy
    read_signing_key: ReadKey
    signing_keys: TtlCache[str, Secret] = field(default_factory=lambda: TtlCache(KEY_KEPT_S))
    verdicts: TtlCache[tuple[object, ...], Verdict] = field(default_factory=lambda: TtlCache(CACHED_S))
