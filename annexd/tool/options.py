"""The options of condor_annex, and what they are when they have been read.

Neither argparse nor dataclasses is used: importing them costs as much as all the rest of a usage message.
"""

from typing import Final, NamedTuple

from annexd.tool.goal import Goal

MAX_STACK_NAME: Final = 32  # the names of roles, which begin with it, may have 64 letters


class Option(NamedTuple):
    field: str  # of Options
    value: str | None  # what stands for the value in the help; None for a flag
    help: str


OPTIONS: Final = {
    "lease-duration": Option("lease_duration_s", "SECONDS", "length of the lease; also as 30m, 1h30m, 1.5d or 1w"),
    "lease-function-arn": Option(
        "lease_function_arn", "ARN", "the function that ends the lease (ANNEX_DEFAULT_LEASE_FUNCTION_ARN)"
    ),
    "count": Option("target_capacity", "NUMBER", "target capacity, instead of the file's"),
    "access-key-file": Option("public_key_file", "FILE", "your AWS access key ID (ANNEX_DEFAULT_ACCESS_KEY_FILE)"),
    "public-key-file": Option("public_key_file", "FILE", "another name for it"),
    "secret-key-file": Option("secret_key_file", "FILE", "your AWS secret access key (ANNEX_DEFAULT_SECRET_KEY_FILE)"),
    "private-key-file": Option("secret_key_file", "FILE", "another name for it"),
    "session-token-file": Option(
        "session_token_file", "FILE", "the session token of temporary keys (ANNEX_DEFAULT_SESSION_TOKEN_FILE)"
    ),
    "profile": Option("profile", "NAME", "a profile of your AWS configuration, not files (ANNEX_DEFAULT_PROFILE)"),
    "user-data": Option("user_data", "TEXT", "user data of every instance"),
    "user-data-file": Option("user_data_file", "FILE", "the same, from a file"),
    "default-user-data": Option("default_user_data", "TEXT", "user data of instances that the file gives none"),
    "default-user-data-file": Option("default_user_data_file", "FILE", "the same, from a file"),
    "fleet-api": Option(
        "fleet_api", "API", "how the fleet is ordered: ec2-fleet or spot-fleet (annexd's ANNEX_FLEET_API)"
    ),
    "annex-name": Option("annex_name", "NAME", "what you call it: AnnexName of its slots, and a tag"),
    "owner": Option("annex_owner", "USER[,USER...]", "whose jobs it runs, instead of yours"),
    "no-owner": Option("no_owner", None, "it runs everybody's jobs"),
    "idle": Option("idle_s", "SECONDS", "an instance without work for this time ends itself"),
    "config-dir": Option("config_dir", "DIR", "HTCondor configuration files for its instances"),
    "no-join": Option("no_join", None, "make no object from which its instances join the pool"),
    "pool": Option("pool", "HOST[:PORT]", "the collector to ask for annexd"),
    "name": Option("name", "NAME", "the annexd to use"),
    "service-url": Option("service_url", "URL", "endpoint of EC2"),
    "events-url": Option("events_url", "URL", "endpoint of EventBridge, which orders do not use any more"),
    "lambda-url": Option("lambda_url", "URL", "endpoint of Lambda"),
    "logs-url": Option("logs_url", "URL", "endpoint of CloudWatch Logs, where the lease function is seen alive"),
    "s3-url": Option("s3_url", "URL", "endpoint of S3"),
    "sts-url": Option("sts_url", "URL", "endpoint of STS, which names the account of your keys"),
    "s3-bucket": Option("s3_bucket", "NAME", "bucket for the object from which instances join the pool"),
    "cancel": Option("cancel", "ANNEX", "end this annex now: its ID, its fleet's, or your name for it"),
    "extend": Option("extend_s", "DURATION", "extend the lease by this: condor_annex -extend 2h ANNEX"),
    "until": Option("until_s", "TIME", "end it then: condor_annex -until 2026-12-01T18:00 ANNEX; Z or +01:00 too"),
    "now": Option("now", None, "with -until: even if that is too soon for its machines to send jobs away"),
    "forcex": Option("forcex", None, "with -cancel: give up what cannot be undone (QUEUE_SUPER_USERS only)"),
    "wait": Option("goal", "joined=N[%]", "wait until so many machines have joined (all): with an order, or an ANNEX"),
    "status": Option("status", None, "the annexes that annexd knows; condor_annex -status ANNEX: one of them"),
    "setup": Option("setup", None, "make what annexes need in the AWS account"),
    "check-setup": Option("check_setup", None, "report problems there, and how to fix them"),
    "teardown": Option("teardown", None, "remove all of it"),
    "region": Option("region", "REGION", "of -setup, -check-setup and -teardown; may be given several times"),
    "stack-name": Option("stack_name", "NAME", "of the CloudFormation stack (HTCondorAnnex)"),
    "max-lease": Option("max_lease_s", "SECONDS", "of -setup: the longest that any annex may live (30d); also as 7d"),
    "cut-leases": Option("cuts_leases", None, "with -max-lease: also end annexes earlier that live already"),
    "vpc": Option("vpc_id", "VPC", "of -setup: the network of the machines, instead of the default VPC"),
    "subnet": Option("subnet_ids", "SUBNET", "of -setup: their subnets, instead of -setup's choice; several times"),
    "timeout": Option("timeout_s", "SECONDS", "how long to wait for annexd's answer, or for CloudFormation (15m)"),
    "output": Option("output", "FILE", "the configuration file that -setup writes (81annex in LOCAL_CONFIG_DIR)"),
    "config-file": Option("output", "FILE", "another name for it"),
    "json": Option("json", None, "print the answer as JSON (not with -setup and -teardown, which are watched)"),
    "command-id": Option("command_id", "ID", "ask again for what became of a request that was not answered"),
    "debug": Option("debug", None, "HTCondor's debugging output (TOOL_DEBUG) on standard error"),
    "help": Option("help", None, "this text"),
    "version": Option("version", None, "the version"),
}


class ToolOptions(NamedTuple):
    """The command line, checked; `file` is a path or `-`, or with -status, -wait, -extend and -until an annex."""

    file: str = ""
    lease_duration_s: int = 0
    lease_function_arn: str | None = None
    target_capacity: int | None = None
    public_key_file: str | None = None
    secret_key_file: str | None = None
    session_token_file: str | None = None
    user_data: str | None = None
    user_data_file: str | None = None
    default_user_data: str | None = None
    default_user_data_file: str | None = None
    fleet_api: str | None = None
    annex_name: str | None = None
    annex_owner: str | None = None
    no_owner: bool = False
    idle_s: int | None = None
    config_dir: str | None = None
    no_join: bool = False
    pool: str | None = None
    name: str | None = None
    service_url: str | None = None
    events_url: str | None = None
    lambda_url: str | None = None
    logs_url: str | None = None
    s3_url: str | None = None
    sts_url: str | None = None
    s3_bucket: str | None = None
    cancel: str | None = None
    extend_s: int | None = None
    until_s: int | None = None  # since the epoch
    now: bool = False
    forcex: bool = False
    goal: Goal | None = None
    status: bool = False
    setup: bool = False
    check_setup: bool = False
    teardown: bool = False
    region: tuple[str, ...] = ()
    profile: str | None = None
    stack_name: str | None = None
    max_lease_s: int | None = None
    cuts_leases: bool = False
    vpc_id: str | None = None
    subnet_ids: tuple[str, ...] = ()
    timeout_s: int | None = None
    command_id: str | None = None
    output: str | None = None
    json: bool = False
    debug: bool = False
    help: bool = False
    version: bool = False


def spelled(field: str) -> str:
    """Return the option that sets a field of Options, as it is typed."""
    return "-" + next(name for name in OPTIONS if OPTIONS[name].field == field)
