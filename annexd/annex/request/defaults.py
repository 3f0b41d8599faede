"""The administrator's defaults and limits for requests."""

from dataclasses import dataclass

from annexd.annex.request.fleet_api import EC2_FLEET

DAY_S = 86400


@dataclass(frozen=True)
class Defaults:
    """The values of the configuration parameters; the defaults here apply if a parameter is not set."""

    ec2_url: str = "https://ec2.us-east-1.amazonaws.com"  # ANNEX_DEFAULT_EC2_URL
    lambda_url: str = "https://lambda.us-east-1.amazonaws.com"  # ANNEX_DEFAULT_LAMBDA_URL
    s3_url: str = ""  # ANNEX_DEFAULT_S3_URL; empty: AWS's own, of the lease function's region
    sts_url: str = ""  # ANNEX_DEFAULT_STS_URL; empty: AWS's own, of the same region
    logs_url: str = ""  # ANNEX_DEFAULT_LOGS_URL; empty: AWS's own, of the same region
    pricing_url: str = ""  # ANNEX_DEFAULT_PRICING_URL; empty: AWS's own, if EC2's is; only quotes use it
    quotas_url: str = ""  # ANNEX_DEFAULT_QUOTAS_URL; the same for Service Quotas
    price_table: str = ""  # ANNEX_PRICE_TABLE: list prices, made by templates/generate-prices
    ssm_url: str = ""  # ANNEX_DEFAULT_SSM_URL; empty: AWS's own, of the same region
    lease_function_arn: str | None = None  # ANNEX_DEFAULT_LEASE_FUNCTION_ARN
    s3_bucket: str | None = None  # ANNEX_DEFAULT_S3_BUCKET: where instances find how to join the pool
    instance_profile_arn: str | None = None  # ANNEX_DEFAULT_INSTANCE_PROFILE_ARN
    security_group_id: str | None = None  # ANNEX_DEFAULT_SECURITY_GROUP_ID
    subnet_ids: tuple[str, ...] = ()  # ANNEX_DEFAULT_SUBNET_IDS; none: those of the default VPC, which EC2 chooses
    fleet_api: str = EC2_FLEET  # ANNEX_FLEET_API: the API for orders that do not choose one
    fleet_role_arn: str | None = None  # ANNEX_DEFAULT_FLEET_ROLE_ARN
    collector_host: str = ""  # ANNEX_COLLECTOR_HOST: as instances reach it; COLLECTOR_HOST
    trust_domain: str = ""  # TRUST_DOMAIN
    uid_domain: str = ""  # UID_DOMAIN: whose users are accounts of this host
    issuer_key: str = "POOL"  # SEC_TOKEN_ISSUER_KEY
    drain_time_s: int = 120  # ANNEX_DRAIN_TIME: seconds before the end of the lease at which jobs are evicted
    provisioning_delay_s: int = 300  # ANNEX_PROVISIONING_DELAY: how long AWS keeps trying to find capacity
    max_lease_s: int = 30 * DAY_S  # ANNEX_MAX_LEASE: a mistyped lease must not run for years
    shortest_lease_s: int = 600  # ANNEX_MIN_LEASE: two runs of the lease function, one to end it and one to see it gone
    max_target_capacity: int = 10_000  # ANNEX_MAX_TARGET_CAPACITY: also of instances; AWS's own limit of a fleet
    super_users: frozenset[str] = frozenset()  # QUEUE_SUPER_USERS: who may cancel others' annexes, as user@domain
    allow_default_credentials: bool = False  # ANNEX_ALLOW_DEFAULT_CREDENTIALS: boto3's chain, without key files
    allow_credential_process: bool = True  # ANNEX_ALLOW_CREDENTIAL_PROCESS: profiles run their users' programs here

    def account_of(self, owner: str) -> str | None:
        """Return the present account of `owner` (user@domain) on this host; None for users of other domains.

        An order keeps it, so that it can be undone and cancelled even if UID_DOMAIN has changed by then.
        """
        user, _, domain = owner.rpartition("@")
        return user if user and domain and domain.lower() == self.uid_domain.lower() else None
