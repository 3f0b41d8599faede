"""Define the options of condor_annex, and their parsed values.

argparse and dataclasses are not used: importing them takes as long as the rest of a usage message.
"""

from typing import Final, NamedTuple

from annexd.tool.goal import Goal

MAX_STACK_NAME: Final = 32  # role names begin with it and may have 64 characters


class Option(NamedTuple):
    field: str  # of Options
    value: str | None  # the placeholder of the value in the help; None for a flag
    help: str


OPTIONS: Final = {
    "lease-duration": Option("lease_duration_s", "SECONDS", "length of the lease; also as 30m, 1h30m, 1.5d or 1w"),
    "lease-function-arn": Option(
        "lease_function_arn", "ARN", "the function that ends the lease (ANNEX_DEFAULT_LEASE_FUNCTION_ARN)"
    ),
    "count": Option("target_capacity", "NUMBER", "target capacity, instead of the file's"),
    "instance-type": Option("instance_types", "TYPE[,TYPE...]", "without a file: machines of these types"),
    "cpus": Option("cpus", "NUMBER", "without a file: machines of any type with at least this many vCPUs"),
    "memory": Option(
        "memory_mib", "SIZE", "with -cpus: and at least this much memory, as 8G; megabytes without a unit"
    ),
    "gpus": Option("gpus", "NUMBER", "with -cpus: and at least this many GPUs"),
    "image": Option("image", "AMI|ssm:PARAMETER", "without a file: their image (ANNEX_DEFAULT_IMAGE)"),
    "spot": Option("spot", None, "without a file: Spot instances; this is the default"),
    "on-demand": Option("on_demand", None, "without a file: On-Demand instances"),
    "max-price": Option("max_price", "DOLLARS", "without a file: the most that a Spot instance may cost an hour"),
    "key-name": Option("key_name", "NAME", "without a file: the key pair for ssh"),
    "volume-size": Option("volume_gib", "SIZE", "without a file: size of the root volume, as 50G"),
    "save": Option("save", "FILE", "write what would be ordered into a new file, as JSON, and order nothing"),
    "access-key-file": Option("public_key_file", "FILE", "your AWS access key ID (ANNEX_DEFAULT_ACCESS_KEY_FILE)"),
    "public-key-file": Option("public_key_file", "FILE", "another name for it"),
    "secret-key-file": Option("secret_key_file", "FILE", "your AWS secret access key (ANNEX_DEFAULT_SECRET_KEY_FILE)"),
    "private-key-file": Option("secret_key_file", "FILE", "another name for it"),
    "session-token-file": Option(
        "session_token_file", "FILE", "the session token of temporary keys (ANNEX_DEFAULT_SESSION_TOKEN_FILE)"
    ),
    "profile": Option("profile", "NAME", "profile of your AWS configuration, instead of files (ANNEX_DEFAULT_PROFILE)"),
    "user-data": Option("user_data", "TEXT", "user data of every instance"),
    "user-data-file": Option("user_data_file", "FILE", "the same, from a file"),
    "default-user-data": Option("default_user_data", "TEXT", "user data of instances for which the file has none"),
    "default-user-data-file": Option("default_user_data_file", "FILE", "the same, from a file"),
    "fleet-api": Option(
        "fleet_api", "API", "how the fleet is ordered: ec2-fleet or spot-fleet (annexd's ANNEX_FLEET_API)"
    ),
    "annex-name": Option("annex_name", "NAME", "name of the annex: AnnexName of its slots, and a tag"),
    "owner": Option("annex_owner", "USER[,USER...]", "users whose jobs it runs, instead of you"),
    "no-owner": Option("no_owner", None, "run everybody's jobs"),
    "idle": Option("idle_s", "SECONDS", "time without work after which an instance terminates itself"),
    "config-dir": Option("config_dir", "DIR", "HTCondor configuration files for its instances"),
    "no-join": Option("no_join", None, "do not create the object with which instances join the pool"),
    "pool": Option("pool", "HOST[:PORT]", "the collector to ask for annexd"),
    "name": Option("name", "NAME", "the annexd to use"),
    "service-url": Option("service_url", "URL", "endpoint of EC2"),
    "events-url": Option("events_url", "URL", "endpoint of EventBridge, which orders no longer use"),
    "lambda-url": Option("lambda_url", "URL", "endpoint of Lambda"),
    "logs-url": Option("logs_url", "URL", "endpoint of CloudWatch Logs, which has the lease function's heartbeat"),
    "s3-url": Option("s3_url", "URL", "endpoint of S3"),
    "sts-url": Option("sts_url", "URL", "endpoint of STS, which reports the account of your keys"),
    "ssm-url": Option("ssm_url", "URL", "endpoint of Systems Manager, which knows the image of ssm:PARAMETER"),
    "s3-bucket": Option("s3_bucket", "NAME", "bucket for the object with which instances join the pool"),
    "cancel": Option("cancel", "ANNEX", "end this annex now: annex ID, fleet ID or annex name"),
    "extend": Option("extend_s", "DURATION", "extend the lease by this time: condor_annex -extend 2h ANNEX"),
    "until": Option("until_s", "TIME", "end it at: condor_annex -until 2026-12-01T18:00 ANNEX; Z or +01:00 too"),
    "resize": Option(
        "resize_to", "NUMBER", "new total number of units, under the same end: condor_annex -resize 20 ANNEX"
    ),
    "now": Option(
        "now", None, "with -until: even if too soon to evict jobs; with -resize: terminate machines with their jobs"
    ),
    "forcex": Option("forcex", None, "with -cancel: give up on what cannot be undone (QUEUE_SUPER_USERS only)"),
    "wait": Option(
        "goal", "joined=N[%]", "wait until this many machines have joined (all): with an order, or an ANNEX"
    ),
    "quote": Option("quote", None, "order nothing: all checks of the order, and what it can cost"),
    "dry-run": Option("quote", None, "another name for it"),
    "yes": Option("yes", None, "order without confirmation, even above ANNEX_CONFIRM_ABOVE"),
    "status": Option("status", None, "the annexes that annexd knows; condor_annex -status ANNEX: one of them"),
    "wide": Option("wide", None, "with -status: all columns"),
    "watch": Option("watch", None, "with -status: the table again every five seconds, until Ctrl-C"),
    "history": Option(
        "history", None, "the annexes of the past, newest first; condor_annex -history ANNEX: one of them"
    ),
    "since": Option("since_s", "TIME", "with -history: those that were ordered then or later"),
    "limit": Option("limit", "NUMBER", "with -history: at most this many"),
    "by": Option("by", "owner", "with -history: the sums of each owner"),
    "csv": Option("csv", None, "with -history: print it as CSV"),
    "budget": Option("budget", None, "what budgets have left; condor_annex -budget NAME: one of them"),
    "offers": Option("offers", None, "the machines that annexd may order automatically for idle jobs"),
    "demand": Option("demand", None, "annexd's decisions about the pool's idle jobs"),
    "why": Option("why", "JOB", "why an idle job has no machine: CLUSTER.PROC, or SCHEDD#CLUSTER.PROC"),
    "pause": Option("pause", "OFFER", "order nothing more by this offer (QUEUE_SUPER_USERS only)"),
    "resume": Option("resume", "OFFER", "order by it again"),
    "metrics": Option("metrics", None, "annexd's counters as Prometheus reads them, for node_exporter's textfiles"),
    "demand-config": Option(
        "demand_config", None, "configuration of demand's negotiators (ANNEX_OFFERS); [FILE]: there"
    ),
    "setup": Option("setup", None, "create what annexes need in the AWS account"),
    "check-setup": Option("check_setup", None, "report problems of the setup, and how to fix them"),
    "teardown": Option("teardown", None, "delete everything that -setup created"),
    "region": Option("region", "REGION", "region of -setup, -check-setup and -teardown; repeatable"),
    "stack-name": Option("stack_name", "NAME", "name of the CloudFormation stack (HTCondorAnnex)"),
    "max-lease": Option("max_lease_s", "SECONDS", "with -setup: maximum lifetime of any annex (30d); also as 7d"),
    "cut-leases": Option("cuts_leases", None, "with -max-lease: also end living annexes earlier"),
    "vpc": Option("vpc_id", "VPC", "with -setup: network of the machines, instead of the default VPC"),
    "subnet": Option("subnet_ids", "SUBNET", "without a file, or with -setup: their subnets; repeatable"),
    "timeout": Option("timeout_s", "SECONDS", "how long to wait for annexd's answer, or for CloudFormation (15m)"),
    "output": Option("output", "FILE", "the configuration file that -setup writes (81annex in LOCAL_CONFIG_DIR)"),
    "config-file": Option("output", "FILE", "another name for it"),
    "json": Option("json", None, "print the answer, or what was done, as JSON"),
    "command-id": Option("command_id", "ID", "ask for the outcome of a request that was not answered"),
    "debug": Option("debug", None, "HTCondor's debugging output (TOOL_DEBUG) on standard error"),
    "help": Option("help", None, "this text"),
    "version": Option("version", None, "the version"),
}


class ToolOptions(NamedTuple):
    """The checked command line; `file`: a path, `-` or empty; with -status, -history, -wait or a change an annex, with
    -budget a budget.
    """

    file: str = ""
    lease_duration_s: int = 0
    lease_function_arn: str | None = None
    target_capacity: int | None = None
    instance_types: tuple[str, ...] = ()
    cpus: int | None = None
    memory_mib: int | None = None
    gpus: int | None = None
    image: str | None = None
    spot: bool = False
    on_demand: bool = False
    max_price: str | None = None
    key_name: str | None = None
    volume_gib: int | None = None
    save: str | None = None
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
    ssm_url: str | None = None
    s3_bucket: str | None = None
    cancel: str | None = None
    extend_s: int | None = None
    until_s: int | None = None  # since the epoch
    resize_to: int | None = None
    now: bool = False
    forcex: bool = False
    goal: Goal | None = None
    quote: bool = False
    yes: bool = False
    status: bool = False
    wide: bool = False
    watch: bool = False
    history: bool = False
    since_s: int | None = None  # since the epoch
    limit: int | None = None
    by: str | None = None
    csv: bool = False
    budget: bool = False
    offers: bool = False
    demand: bool = False
    why: str | None = None
    pause: str | None = None
    resume: str | None = None
    metrics: bool = False
    demand_config: bool = False
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
    """Return the option that sets a field of ToolOptions, as typed."""
    return "-" + next(name for name in OPTIONS if OPTIONS[name].field == field)
