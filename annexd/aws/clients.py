"""Create clients of the services quickly, and cache them.

A first client costs about 0.2 s, most of it loading AWS's service models, which all clients share here; a
further one for other keys costs 5 ms, and none at all while it is kept.  They come from botocore, on which boto3 is
based: boto3 would add its resources, which nothing here uses, and 40 MB.  botocore's clients may be used by many
threads.  botocore is imported when it is first needed: the import takes 0.1 s, and a starting daemon must respond to
others first.
"""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from annexd.aws.caller import Accounts, account_of
from annexd.aws.credentials import Credentials
from annexd.aws.endpoints import Endpoints
from annexd.aws.traffic import ClientHooks, Clock

if TYPE_CHECKING:
    from botocore.loaders import Loader

MAX_KEPT: Final = 32  # sets of clients: each holds connections
MAX_AGE_S: Final = 300.0  # then boto3's own chain is queried again, so that renewed credentials are used
CONFIG: Final = {
    "connect_timeout": 5.0,
    "read_timeout": 30.0,  # a large RequestSpotFleet takes seconds
    "retries": {"mode": "standard", "total_max_attempts": 1},  # each attempt is one record of the journal
    "max_pool_connections": 16,
    "tcp_keepalive": True,
    "user_agent_extra": "annexd",
    # S3's only: addressing that every endpoint supports, and no checksum besides that of the signature.
    "s3": {"addressing_style": "path"},
    "request_checksum_calculation": "when_required",
}
READ_OF_INSTANCES: Final = frozenset(
    (
        "InstanceId",
        "State",
        "LaunchTime",
        "Tags",
        "InstanceType",
        "InstanceLifecycle",
        "Placement",
        "PlatformDetails",
        "StateReason",
        "StateTransitionReason",
    )
)
# botocore's name: (in a file, in the environment, the value).  A requester's keys need nothing from ~/.aws, where a
# typo of annexd's own user would break every request.
UNCONFIGURED: Final = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


def _no_client(service: str, _url: str, _region: str) -> Any:
    raise LookupError(f"there is no client of {service} here")


@dataclass(frozen=True)
class Clients:
    """botocore clients of one account and region."""

    ec2: Any
    functions: Any  # AWS Lambda; `lambda` is a keyword of Python
    logs: Any  # CloudWatch Logs
    make_s3: Callable[[], Any]
    make_sts: Callable[[], Any]
    make_ssm: Callable[[], Any]
    account_of: Callable[[Callable[[], Any]], str] = account_of  # uses the STS that it is given, or its known one
    clock: Clock = field(default_factory=Clock)  # AWS's clock, from the responses to these clients
    make: Callable[[str, str, str], Any] = _no_client  # client of (service, URL or empty, region), for rare calls

    @cached_property
    def s3(self) -> Any:
        """Return the S3 client, created on first use, since not every annex has an object."""
        return self.make_s3()

    @cached_property
    def sts(self) -> Any:
        """Return the STS client, created on first use."""
        return self.make_sts()

    @cached_property
    def ssm(self) -> Any:
        """Return the SSM client, created on first use: few orders name an image by a parameter of Systems Manager."""
        return self.make_ssm()

    def account(self) -> str:
        """Return the account of the keys, in 12 digits.  STS is called at most once an hour.  Raises AWS_ERRORS."""
        return self.account_of(lambda: self.sts)


@lru_cache(maxsize=1)
def model_loader() -> "Loader":
    """Return the shared loader of AWS's service models, which caches them.

    EC2's is cut to what annexd reads of an instance: parsing the other members of ten thousand takes most of a look.
    """
    from botocore.loaders import Loader

    loader = Loader(include_default_search_paths=True)
    members = loader.load_service_model("ec2", "service-2")["shapes"]["Instance"]["members"]
    for name in members.keys() - READ_OF_INSTANCES:
        del members[name]
    return loader


def read_timestamp(value: Any) -> datetime:
    """Parse a time in an AWS response like botocore, but EC2's form in a twentieth of the time.  Raises ValueError."""
    if isinstance(value, str) and value.endswith("Z"):
        with suppress(ValueError):
            return datetime.fromisoformat(value)
    from botocore.utils import parse_timestamp

    found: datetime = parse_timestamp(value)
    return found


class ClientCache:
    """Caches clients by endpoints and keys; bounded in number and age.  Thread-safe."""

    def __init__(
        self, *, now_s: Callable[[], float] = time.monotonic, traffic: ClientHooks | None = None, **config: Any
    ) -> None:
        self.traffic = traffic or ClientHooks()
        self._config = {**CONFIG, **config}
        self._now_s = now_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[object, tuple[float, Clients]] = OrderedDict()
        self._accounts = Accounts(now_s)
        self.on_expired: Callable[[Credentials], None] = lambda _: None  # AWS says that they have expired

    def clients(self, credentials: Credentials | None, endpoints: Endpoints) -> Clients:
        """Return clients with these keys, or, without keys, with those that boto3's own chain finds."""
        key = (credentials.identity if credentials else None, endpoints)
        now_s = self._now_s()
        with self._lock:
            kept = self._kept.get(key)
            if kept and now_s - kept[0] <= MAX_AGE_S:
                self._kept.move_to_end(key)
                return kept[1]
        # Without the lock: boto3's chain may use the network.
        clients = self._make(credentials, endpoints, key)
        with self._lock:
            self._kept[key] = now_s, clients
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return clients

    def _forget(self, key: object, credentials: Credentials | None) -> None:
        """Handle expired credentials: their source may have new ones."""
        with self._lock:
            self._kept.pop(key, None)
        if credentials is not None:
            self.on_expired(credentials)

    def _make(self, credentials: Credentials | None, endpoints: Endpoints, key: object) -> Clients:
        import botocore.session
        from botocore.config import Config

        from annexd.aws.bounds import bound

        # A requester's clients use the order's endpoints, even if annexd itself has an AWS_ENDPOINT_URL.
        settings = Config(**self._config, ignore_configured_endpoint_urls=True if credentials else None)
        keys = credentials.parameters if credentials else {}
        # A session of its own: sessions are not thread-safe, and cannot forget credentials.
        session = botocore.session.Session(session_vars=UNCONFIGURED if credentials else None)
        session.register_component("data_loader", model_loader())
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=read_timestamp)
        clock, made_s = Clock(), self._now_s()

        def client(service: str, url: str, region: str = endpoints.region) -> Any:
            made = session.create_client(
                service,
                region_name=region,
                endpoint_url=url or None,
                config=settings,
                **keys,
            )
            bound(made)
            self.traffic.watch(
                made, credentials.access_key_id if credentials else "", clock, lambda: self._forget(key, credentials)
            )
            return made

        whose = key if credentials else (key, made_s)  # boto3's own chain may find other keys later
        return Clients(
            client("ec2", endpoints.ec2_url),
            client("lambda", endpoints.lambda_url),
            client("logs", endpoints.logs_url),
            lambda: client("s3", endpoints.s3_url),
            lambda: client("sts", endpoints.sts_url),
            lambda: client("ssm", endpoints.ssm_url),
            partial(self._accounts.of, whose),
            clock,
            client,
        )
