"""make demo: the story of one annex, and of an idle job that gets one, on a real HTCondor, in five minutes.

AWS is emulated: fleets launch and instances boot.  The commands run exactly as shown, and their output is shown.
Time is real except for the lease's clock: its five minutes pass in five seconds here.  With --hurried, -setup and
-teardown do not wait for a new instance profile to spread in AWS, nor for the orders of others.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from annexd.account.policies import USER, policies
from annexd.annex.lease.heartbeat import RECEIPT
from test.account import hurried
from test.cloud import Cloud
from test.demo.demand import serve_idle_jobs
from test.demo.story import GREEN, JOB, PLAIN, TOOL, DemoFailed, Story, wait_until
from test.pool import ANNEXD_CONFIG, NoHTCondorError, Pool, PoolError
from test.system.annexes import POOL, STACK, image

TOP = Path(__file__).resolve().parents[2]
IAM_USER = "physicist"
DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD", "NEGOTIATOR")
ORDERS = ("RequestSpotFleet", "CreateFleet")
CLOCK_SPEED = 60  # the rule's five minutes pass in five seconds
LEASE_S = 90
MIN_LEASE_S = 600 // CLOCK_SPEED  # two ticks here, as annexd's own default is two of AWS's
MACHINES = 2  # instances that boot for real; the others are only records of the cloud
TERMINATION_S = 2  # how long the emulated instances take to shut down
END_WITHIN_S = 60
TEARDOWN_S = 240.0  # longer than an order may take from its check of the lease function to its fleet
MIXED = {"TargetCapacity": 4, "OnDemandTargetCapacity": 2}  # in templates/config.json
IMAGE, ROOT = "ami-03cf127a", "/dev/sda1"  # which DescribeImages shows, and its volume
PRICES = {  # of the emulated AWS; its meter uses them, too
    "spot": {"m5.large": [[-3600, 0.035]], "m5.xlarge": [[-3600, 0.07]], "c5.large": [[-3600, 0.032]]},
    "on_demand": {"m5.large": 0.096, "m5.xlarge": 0.192, "c5.large": 0.085},
    "gb_month": 0.1,
    "address_hour": 0.005,
}


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # everything is taken down, as on Ctrl-C
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hurried", action="store_true", help="for make test")
    story = Story(hurried.COMMAND if parser.parse_args().hurried else (str(TOOL),))
    signal.signal(signal.SIGINT, story.interrupt)
    try:
        play(story)
    except (DemoFailed, PoolError, NoHTCondorError) as error:
        sys.exit(f"\nThe demo failed: {error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped; nothing is left running.")


def play(story: Story) -> None:
    story.say("Starting an HTCondor pool: a collector, a negotiator, a schedd, and no machine")
    pool = Pool(f"{POOL}\nLOCAL_CONFIG_DIR = $(LOCAL_DIR)/config.d", daemons=DAEMONS)
    (pool.directory / "config.d").mkdir()
    with pool:
        story.say("Starting an AWS that acts (emulated: fleets launch, instances boot, functions run, IAM counts)")
        boot = image(pool, MACHINES)
        with Cloud(speed=CLOCK_SPEED, termination_s=TERMINATION_S, enforce_iam=True, boot=boot) as cloud:
            directory = pool.directory / "annexd-host"
            directory.mkdir()
            host = Pool(configuration(pool, cloud), daemons=("MASTER", "SHARED_PORT", "ANNEXD"), directory=directory)
            set_up(story, host, cloud)
            request_id, annex_id, quoted = play_annexd(story, host, pool, cloud)
            watch_the_lease_end(story, pool, cloud, request_id)
            prove_that_nothing_is_left(story, cloud, annex_id)
            prove_that_the_quote_was_enough(story, cloud, quoted)
            serve_idle_jobs(story, host, pool, cloud)
            tear_down(story, host, cloud)
    story.say(f"{GREEN}That is all of it. Nothing is running, here or there.{PLAIN}")


def configuration(pool: Pool, cloud: Cloud) -> str:
    """Return the configuration of a host of the pool that runs only annexd and has the pool's signing key."""
    return f"""{ANNEXD_CONFIG}
COLLECTOR_HOST = {pool.collector}
SEC_PASSWORD_DIRECTORY = {pool.directory}/passwords.d
LOCAL_CONFIG_DIR = $(LOCAL_DIR)/config.d
ANNEX_MIN_LEASE = {MIN_LEASE_S}
ANNEX_DEFAULT_PRICING_URL = {cloud.url}
ANNEX_DEFAULT_QUOTAS_URL = {cloud.url}
"""


def set_up(story: Story, host: Pool, cloud: Cloud) -> None:
    story.say("The administrator prepares the AWS account: one command, one CloudFormation stack")
    (host.directory / "config.d").mkdir()
    story.annex(host, "-setup", "-region", cloud.region, env=cloud.environment(), last=3)
    cloud.set_prices(**PRICES)
    story.say(f"The IAM user {IAM_USER} gets the policy templates/policies/user.json, and no other right")
    write_key_files(host.directory, cloud.user(IAM_USER, *policies(USER, STACK)))


def tear_down(story: Story, host: Pool, cloud: Cloud) -> None:
    story.say("And one command takes it all away again")
    story.annex(host, "-teardown", "-region", cloud.region, env=cloud.environment(), last=3, timeout_s=TEARDOWN_S)


def play_annexd(story: Story, host: Pool, pool: Pool, cloud: Cloud) -> tuple[str, str, dict[str, float]]:
    """Play from annexd's start to its death; return the fleet's ID, the annex's, and the quoted maxima by annex ID."""
    story.say("Starting annexd on a host of its own, with config.d/80annexd dropped in")
    with host:
        request_id = lease(story, host, pool, cloud)
        annex_id = run_a_job(story, pool)
        cancel_another(story, host, pool, cloud)
        quoted = order_what_was_quoted(story, host, pool, cloud)
        story.say("kill -9 of annexd and of its condor_master: nobody is left who could end it. Only the cloud")
        kill(host)
    return request_id, annex_id, quoted


def run_a_job(story: Story, pool: Pool) -> str:
    """Wait for the machines and run a job on one of them; return the annex's ID."""
    story.say(
        f"{MACHINES} of the instances boot for real: condor-annex-ec2, then HTCondor, with a token of the annex's own"
    )
    status = str(pool.htcondor.executable("condor_status"))
    wait_until(
        lambda: pool.run(status, "-af", "AnnexID").stdout.count("annex-") == MACHINES,
        f"{MACHINES} machines in the pool",
        150,
    )
    story.run(pool, status, "-af:h", "Name", "State", "AnnexName", "AuthenticatedIdentity")
    story.say("The user submits a job; its START lets only this user's jobs run there, and only until the lease's end")
    job = pool.directory / "job.sub"
    job.write_text(JOB.format(output=pool.directory / "job"))
    story.run(pool, str(pool.htcondor.executable("condor_submit")), str(job))
    output = pool.directory / "job.out"
    wait_until(lambda: output.exists() and output.read_text().endswith("\n"), "the job's output", 150)
    story.say("It ran on the annex, and this is its output")
    story.show(output.read_text())
    return pool.run(status, "-af", "AnnexID").stdout.split()[0]


def cancel_another(story: Story, host: Pool, pool: Pool, cloud: Cloud) -> None:
    """Order a second annex, extend it and cancel it, while the first one goes on."""
    story.say(
        "A second annex, by options instead of a file, by EC2 Fleet; its user finds it too short and moves its end"
    )
    mistake = story.annex(
        pool,
        *key_files(host.directory),
        "-lease-duration",
        "12h",
        "-count",
        "5",
        "-annex-name",
        "mistake",
        "-fleet-api",
        "ec2-fleet",
        "-instance-type",
        "m5.large,m5.xlarge",
        "-image",
        "ami-0e5c4998acc873d00",
        last=1,
    )
    story.annex(pool, "-extend", "2h", "mistake")
    story.say("The user cancels it, and its instances are ended at once")
    story.annex(pool, "-cancel", "mistake")
    wait_until(
        lambda: not [each for each in cloud.running_instances() if each["fleet"] == mistake],
        "its instances to be gone",
        END_WITHIN_S,
    )
    story.annex(pool, "-status")


def order_what_was_quoted(story: Story, host: Pool, pool: Pool, cloud: Cloud) -> dict[str, float]:
    """Quote, order and cancel a mixed fleet; return the most dollars of the quote by the annex's ID."""
    file = pool.directory / "mixed.json"
    request = json.loads((TOP / "templates/config.json").read_text()) | MIXED
    for specification in request["LaunchSpecifications"]:
        specification["ImageId"], specification["BlockDeviceMappings"][0]["DeviceName"] = IMAGE, ROOT
    file.write_text(json.dumps(request))
    story.say(
        "The first file again, by EC2 Fleet, half of it On-Demand: a quote says what it can cost, and orders nothing"
    )
    order = [*key_files(host.directory), "-lease-duration", "1h", "-fleet-api", "ec2-fleet", str(file)]
    story.annex(pool, "-quote", *order)
    quoted = json.loads(pool.run(str(TOOL), "-quote", "-json", *order).stdout)
    story.say("Its user orders it, and cancels it when both kinds of instances run")
    fleet_id = story.annex(pool, *order, last=1)
    wait_until(lambda: {"spot", "on-demand"} <= set(markets(cloud, fleet_id)), "instances of both kinds", END_WITHIN_S)
    story.show("\n".join(f"{markets(cloud, fleet_id).count(each)} {each} instances" for each in ("spot", "on-demand")))
    story.annex(pool, "-cancel", fleet_id)
    wait_until(lambda: not markets(cloud, fleet_id), "its instances to be gone", END_WITHIN_S)
    [annex] = json.loads(pool.run(str(TOOL), "-status", "-json", fleet_id).stdout)
    return {annex["AnnexID"]: float(quoted["Most"]["Total"])}


def markets(cloud: Cloud, fleet_id: str) -> list[str]:
    """Return how each running instance of a fleet is paid, as AWS shows it."""
    filters = [
        {"Name": "tag:aws:ec2:fleet-id", "Values": [fleet_id]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    found = cloud.client("ec2").describe_instances(Filters=filters)["Reservations"]
    return [one.get("InstanceLifecycle", "on-demand") for each in found for one in each["Instances"]]


def kill(host: Pool) -> None:
    """Kill condor_master first, so that it does not start another annexd, and then annexd."""
    logs = [host.log(daemon) for daemon in ("MASTER", "ANNEXD")]
    for log in logs:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(re.findall(r"\*\* PID = (\d+)", log)[-1]), signal.SIGKILL)


def lease(story: Story, host: Pool, pool: Pool, cloud: Cloud) -> str:
    """Order an annex and show it; return the fleet's ID."""
    story.say("annexd runs under condor_master and is seen in condor_status")
    status = str(pool.htcondor.executable("condor_status"))
    story.run(pool, status, "-subsystem", "annexd", "-af:h", "Name", "MyType", "AnnexRequests", "AnnexUnfinished")
    story.say(f"A user leases what templates/config.json describes, for {LEASE_S} seconds")
    keys = key_files(host.directory)
    request_id = story.annex(
        pool,
        *keys,
        "-lease-duration",
        str(LEASE_S),
        "-annex-name",
        "physics",
        "-fleet-api",
        "spot-fleet",
        str(TOP / "templates/config.json"),
    )
    story.say("The instances run. Their end is part of the fleet, in its token; nobody can take it away")
    story.show("\n".join(what_runs(cloud)))
    story.say("annexd ordered them only since the lease function was seen at work: this is its newest receipt")
    story.show(newest_line(cloud))
    return request_id


def newest_line(cloud: Cloud) -> str:
    """Return the receipt of the lease function's last run, without its longer members."""
    events = cloud.client("logs").filter_log_events(
        logGroupName="/aws/lambda/HTCondorAnnexLease", filterPattern=RECEIPT
    )["events"]
    receipt = json.loads(events[-1]["message"])
    shown = ("tick", "at", "contract", "max_lease_s", "complete", "rights", "fleets", "instances", "ended", "stuck")
    return json.dumps({name: receipt[name] for name in shown})


def write_key_files(directory: Path, key: tuple[str, str]) -> None:
    """Write the user's AWS keys into files that nobody else may read."""
    for path, content in zip(key_paths(directory), key, strict=True):
        path.touch(mode=0o600)
        path.write_text(content)


def key_paths(directory: Path) -> tuple[Path, Path]:
    return directory / "access_key", directory / "secret_key"


def key_files(directory: Path) -> list[str]:
    """Return the options that name the user's AWS keys."""
    access, secret = map(str, key_paths(directory))
    return ["-public-key-file", access, "-secret-key-file", secret]


def what_runs(cloud: Cloud) -> list[str]:
    instances = cloud.running_instances()
    return (
        [f"{fleet['id']}  {fleet['state']}  token {fleet['config']['ClientToken']}" for fleet in cloud.fleets()]
        + [
            f"{sum(each['fleet'] == fleet['id'] for each in instances)} instances of {fleet['id']}"
            for fleet in cloud.fleets()
        ]
        + [f"s3 object {key}" for key in objects_of(cloud)]
    )


def watch_the_lease_end(story: Story, pool: Pool, cloud: Cloud, request_id: str) -> None:
    story.say(f"Waiting for the lease of {request_id} to end (the rule fires every five minutes: here, seconds)")
    wait_until(
        lambda: not cloud.running_instances() and not objects_of(cloud),
        "the instances and the annex's object to be gone",
        LEASE_S + END_WITHIN_S,
    )
    story.say("The lease is over: a run of lambda/lease.py ended the fleet and saw its instances gone")
    story.say("The pool is as it was: the machines announced that they leave, seconds before the end")
    story.run(pool, str(pool.htcondor.executable("condor_status")), "-total")


def prove_that_nothing_is_left(story: Story, cloud: Cloud, annex_id: str) -> None:
    fleets = [fleet["state"] for fleet in cloud.fleets()]
    objects = objects_of(cloud)
    meter = cloud.meter()
    story.say("Proof, asked of the cloud")
    story.show(f"fleets:     {', '.join(fleets)}")
    story.show(f"instances:  {len(cloud.running_instances())} running")
    story.show(f"tokens:     {len(objects)} in S3")
    line = meter["annexes"][annex_id]
    story.show(
        f"meter:      {annex_id} ran at most {line['latest']:.1f} s past its lease "
        f"(one tick of the clock is {300 / CLOCK_SPEED:.0f} s, termination takes {TERMINATION_S} s)"
    )
    templates = cloud.client("ec2").describe_launch_templates()["LaunchTemplates"]
    story.show(f"templates:  {len(templates)} launch templates")
    ended = all(state.startswith(("cancelled", "deleted")) for state in fleets)
    callers = callers_of_orders(cloud)
    story.show(f"ordered by: {', '.join(callers)}")
    if not ended or meter["unleased"]["instance_seconds"] or objects or templates:
        raise DemoFailed(f"something is left: {json.dumps([cloud.fleets(), objects], default=str)[:2000]}")
    if callers != [IAM_USER]:
        raise DemoFailed(f"fleets were ordered by others than {IAM_USER}")


def prove_that_the_quote_was_enough(story: Story, cloud: Cloud, quoted: Mapping[str, float]) -> None:
    for annex_id, most in quoted.items():
        dollars = float(cloud.meter()["annexes"][annex_id]["dollars"])
        story.show(f"quote:      {annex_id} cost ${dollars:.4f} by the cloud's meter, at most ${most:.4f} by its quote")
        if not 0 < dollars <= most:
            raise DemoFailed(f"{annex_id} cost ${dollars}, and its quote said at most ${most}")


def callers_of_orders(cloud: Cloud) -> list[str]:
    """Return the callers who requested fleets: the user by name, any other by access key ID."""
    keys = cloud.client("iam").list_access_keys(UserName=IAM_USER)["AccessKeyMetadata"]
    users = {key["AccessKeyId"]: IAM_USER for key in keys}
    orders = [call for operation in ORDERS for call in cloud.calls(operation)]
    return sorted({users.get(call["access_key_id"], call["access_key_id"]) for call in orders})


def objects_of(cloud: Cloud) -> list[str]:
    s3 = cloud.client("s3")
    return [
        each["Key"]
        for bucket in s3.list_buckets()["Buckets"]
        for each in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", ())
    ]


if __name__ == "__main__":
    main()
