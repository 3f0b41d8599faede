"""The last act: an idle job becomes a machine, within a budget, and the machine turns itself off after the job."""

import json
import re
from pathlib import Path
from typing import Any

from annexd.demand.ghost_negotiators import JobClause
from test.cloud import Cloud
from test.demo.story import JOB, DemoFailed, Story, wait_until
from test.pool import Pool

IDLE_AGE_S = 5
IDLE_S = 10
WITHIN_S = 100.0  # shorter than the lease minus its last seconds: the machine leaves earlier
OFFER = """\
ANNEX_DEMAND = observe
ANNEX_OFFERS = small
ANNEX_OFFER_small_INSTANCE_TYPE = c5.large
ANNEX_OFFER_small_IMAGE = ami-03cf127a
ANNEX_OFFER_small_VOLUME_SIZE = 20G
ANNEX_OFFER_small_START = TARGET.WantAnnex =?= true
ANNEX_OFFER_small_MAX = 2
ANNEX_OFFER_small_LEASE = 3m
ANNEX_OFFER_small_IDLE_AGE = {idle_age_s}
ANNEX_OFFER_small_IDLE = {idle_s}
ANNEX_BUDGETS = jobs
ANNEX_BUDGET_jobs_DOLLARS = 5
ANNEX_BUDGET_jobs_PERIOD = day
"""
QUICK = """\
ANNEX_DEMAND_INTERVAL = 2
ANNEX_DEMAND_OWNER = {user}
ANNEX_DEFAULT_ACCESS_KEY_FILE = {directory}/access_key
ANNEX_DEFAULT_SECRET_KEY_FILE = {directory}/secret_key
ANNEXD_RECONCILE_INTERVAL = 2
"""
QUICK_NEGOTIATOR = """\
{name}.NEGOTIATOR_INTERVAL = 2
{name}.NEGOTIATOR_CYCLE_DELAY = 2
"""


def serve_idle_jobs(story: Story, host: Pool, pool: Pool, cloud: Cloud) -> None:
    """Play the last act; raise DemoFailed unless the job runs, the machine leaves and the budget shows its cost."""
    story.say("The last act: idle jobs become machines. The administrator describes an offer, and what it may cost")
    file = configure(host)
    story.show(f"$ cat {file}\n{file.read_text()}")
    with host:
        confirm_by_the_pool(story, host, pool)
        job_id = submit(story, pool)
        observe(story, pool, cloud, job_id)
        enforce(story, host, pool, cloud, str(file))
        leave(story, host, pool, cloud, str(file))


def configure(host: Pool) -> Path:
    """Write the offer with its budget, and a second file that shortens the demo; return the first file."""
    file = host.directory / "config.d" / "82annex-offers"
    file.write_text(OFFER.format(idle_age_s=IDLE_AGE_S, idle_s=IDLE_S))
    user = host.run("id", "-un").stdout.strip()
    (host.directory / "config.d" / "83demo").write_text(QUICK.format(directory=host.directory, user=user))
    return file


def confirm_by_the_pool(story: Story, host: Pool, pool: Pool) -> None:
    """Add the negotiator that decides for which jobs the pool's rules allow such machines."""
    story.say(
        "Quotas, priorities and limits count, too: one more stock negotiator shows annexd what they allow "
        "(ANNEX_DEMAND_CONFIRM = ghosts, the default)"
    )
    folder = pool.directory / "config.d"
    name = JobClause("true", IDLE_AGE_S).negotiator
    (folder / "83demo").write_text(QUICK_NEGOTIATOR.format(name=name))
    story.annex(host, "-demand-config", str(folder / "82annex-demand"))
    story.run(pool, str(pool.htcondor.executable("condor_reconfig")))


def submit(story: Story, pool: Pool) -> str:
    """Submit a job that wants an annex; return its ID."""
    story.say(
        f"A user submits a job with +WantAnnex = true. No machine runs, so it is idle; after {IDLE_AGE_S} s it counts"
    )
    job = pool.directory / "demand.sub"
    job.write_text(JOB.format(output=pool.directory / "demand").replace("queue\n", "+WantAnnex = true\nqueue\n"))
    said = story.run(pool, str(pool.htcondor.executable("condor_submit")), str(job))
    [cluster] = re.findall(r"cluster (\d+)", said)
    return f"{cluster}.0"


def observe(story: Story, pool: Pool, cloud: Cloud, job_id: str) -> None:
    story.say("ANNEX_DEMAND is observe: annexd decides what it would order for which jobs, and orders nothing")
    wait_until(lambda: states(story, pool) == ["Ordering"], "the decision", WITHIN_S)
    story.annex(pool, "-demand")
    story.annex(pool, "-why", job_id)
    if living(cloud):
        raise DemoFailed("annexd ordered while it should observe")


def enforce(story: Story, host: Pool, pool: Pool, cloud: Cloud, file: str) -> None:
    story.say("Now it may order")
    switch(story, host, file, "observe", "enforce")
    wait_until(lambda: living(cloud), "the order", WITHIN_S)
    story.say("What the order can cost at most is reserved in the budget before AWS is asked")
    story.annex(pool, "-budget")
    machines = [str(pool.htcondor.executable("condor_status")), "-constraint", "Offline =!= true", "-af:h"]
    names = ["Name", "State", "AnnexName", "AnnexOffer"]
    wait_until(lambda: "offer-small" in pool.run(*machines, *names).stdout, "the machine", WITHIN_S)
    story.say("The machine has joined the pool (ads with Offline = true are what the negotiator was asked about)")
    story.run(pool, *machines, *names)
    output = pool.directory / "demand.out"
    wait_until(lambda: output.exists() and output.read_text().endswith("\n"), "the job's output", WITHIN_S)
    story.say("The job ran there, and this is its output")
    story.show(output.read_text())


def leave(story: Story, host: Pool, pool: Pool, cloud: Cloud, file: str) -> None:
    story.say("Back to observing: what has been ordered lives on")
    switch(story, host, file, "enforce", "observe")
    story.say(
        f"No job needs the machine any more: after {IDLE_S} s without work it leaves the pool and turns itself off"
    )
    wait_until(lambda: not cloud.running_instances(), "the machine to turn itself off", WITHIN_S)
    story.run(pool, str(pool.htcondor.executable("condor_status")), "-total")
    story.say("Its annex is cancelled, so that what it had reserved returns now and not after a quarter of an hour")
    story.annex(pool, "-cancel", "offer-small")
    wait_until(lambda: budget(story, pool)["Reserved"] == "0.000000", "the money to return", WITHIN_S)
    story.say("The budget has what it really cost, by annexd's estimate")
    story.annex(pool, "-budget")


def switch(story: Story, host: Pool, file: str, before: str, after: str) -> None:
    story.run(host, "sed", "-i", f"s/{before}/{after}/", file)
    story.run(host, str(host.htcondor.executable("condor_reconfig")), "-subsystem", "annexd")


def budget(story: Story, pool: Pool) -> dict[str, Any]:
    [found] = json.loads(story.ask(pool, "-budget", "-json"))
    return dict(found)


def states(story: Story, pool: Pool) -> list[str]:
    """Return the states of the idle jobs; empty while annexd does not respond after its kill in the previous act."""
    said = story.ask(pool, "-demand", "-json")
    groups = json.loads(said)["Groups"] if said else []
    return [part["State"] for group in groups for part in group["Parts"]]


def living(cloud: Cloud) -> list[dict[str, Any]]:
    return [fleet for fleet in cloud.fleets() if fleet["state"] == "active"]
