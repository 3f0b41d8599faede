"""Free slots as the collector shows them, and their last known state while it does not respond."""

from __future__ import annotations

from collections.abc import Iterator

import classad2
import pytest

from annexd.demand.free_slots import FreeSlots, SlotPicture, after_answer, with_fault
from annexd.demand.packing import Resources
from annexd.demand.pool_watch import PoolWorkers, SlotWatch
from annexd.demand.slot_shapes import rows_of
from test.demand.ghosts import Ghost
from test.demand.schedds import TwoSchedds

NOW_S, INTERVAL_S = 1_000_000.0, 60.0
OLD_S = NOW_S - 3600
SOME = (FreeSlots("[ Cpus = 4 ]", 2, Resources(4, 8000)),)
CORES = 4


def slots(machines: int = 10, at_s: float = NOW_S) -> SlotPicture:
    return SlotPicture(SOME, at_s, None, {"small": 3}, INTERVAL_S, machines=machines)


def test_a_collector_without_an_answer_keeps_the_slots_and_decides_nothing() -> None:
    found = with_fault(slots(), "no answer")
    assert (found.slots, found.asked_s) == (SOME, NOW_S)
    assert not found.is_complete(NOW_S)
    assert slots().is_complete(NOW_S + 180)
    assert not slots().is_complete(NOW_S + 181)


def test_a_collector_that_has_just_started_or_lacks_machines_since_is_not_believed() -> None:
    later = slots(1, NOW_S + 200)
    assert after_answer(slots(), later, started_s=NOW_S + 150).fault == "the collector started 50 s ago"
    assert after_answer(slots(), later, started_s=NOW_S + 10).fault == "the collector started 190 s ago"
    assert after_answer(slots(), later, started_s=OLD_S) == later
    assert after_answer(slots(), slots(10, NOW_S + 200), started_s=NOW_S + 10).fault is None


# Kinds of slots.


def slot(**changed: object) -> classad2.ClassAd:
    usual = {
        "Name": "slot1@m1",
        "Machine": "m1",
        "FileSystemDomain": "m1",
        "Cpus": 4,
        "Memory": 8000,
        "Disk": 123_456_789,
        "Start": classad2.ExprTree("KeyboardIdle > 9 && Site == 1"),
        "Requirements": classad2.ExprTree("START"),
        "KeyboardIdle": 12,
        "Site": 1,
        "Rack": 7,
        "DaemonStartTime": 1_700_000_000,
        "MaxWallTime": 86_400,
    }
    return classad2.ClassAd({**usual, **changed})


def kinds(*ads: classad2.ClassAd, attributes: tuple[str, ...] = ("FileSystemDomain", "DaemonStartTime")) -> list[int]:
    return [row.slots for row in rows_of(ads, attributes)[0]]


def test_names_times_and_idle_times_do_not_distinguish_slots() -> None:
    other = slot(Name="slot1@m2", Machine="m2", FileSystemDomain="m2", KeyboardIdle=99, DaemonStartTime=1_800_000_000)
    assert kinds(slot(), other) == [2]
    assert kinds(slot(), slot(Disk=123_999_999)) == [2]


def test_only_attributes_read_by_jobs_or_slot_policy_distinguish_slots() -> None:
    assert kinds(slot(), slot(Site=2)) == [1, 1]
    assert kinds(slot(), slot(Memory=4000)) == [1, 1]
    assert kinds(slot(), slot(Rack=8)) == [2]
    assert kinds(slot(), slot(Rack=8), attributes=("Rack",)) == [1, 1]
    assert kinds(slot(), slot(MaxWallTime=60), attributes=("MaxWallTime",)) == [1, 1]


def test_an_ad_without_a_name_or_machine_hides_no_other_slot() -> None:
    nameless = slot()
    for name in ("Name", "Machine"):
        del nameless[name]
    assert sum(kinds(nameless, slot(Site=2))) == 2


def test_a_row_has_an_ad_that_can_be_matched_and_never_more_disk_than_the_slot() -> None:
    gpu = classad2.ClassAd({"Capability": 8.0})
    with_gpu = slot(GPUs=1, AvailableGPUs=classad2.ExprTree("{ GPUs_GPU_1 }"), GPUs_GPU_1=gpu)
    [row], left_out = rows_of([with_gpu], ["AvailableGPUs"])
    assert (row.cpus, row.memory_mib, row.disk_kib, row.gpus, left_out) == (4, 8000, 120_000_000, 1, 0)
    ad = classad2.parseOne(row.ad)
    assert ad["Site"] == 1
    assert "Rack" not in ad
    job = classad2.ClassAd({"Requirements": classad2.ExprTree("TARGET.AvailableGPUs[0].Capability >= 8")})
    assert job.symmetricMatch(ad)


# A real pool.


@pytest.fixture(scope="module")
def pool() -> Iterator[TwoSchedds]:
    with TwoSchedds(extra='AnnexOffer = "small"\nSTARTD_ATTRS = $(STARTD_ATTRS) AnnexOffer', cores=CORES) as pool:
        yield pool


def ask(pool: TwoSchedds) -> SlotPicture:
    async def run(workers: PoolWorkers) -> SlotPicture:
        return await SlotWatch(workers, lambda: ("127.0.0.1:1", pool.collector), 0.01).ask(["HasFileTransfer"])

    return pool.with_workers(run)


def free_cores(found: SlotPicture) -> int:
    assert found.fault is None
    return sum(each.count * each.has.cpus for each in found.slots)


def test_the_rest_of_a_partitionable_slot_is_free_and_ghosts_and_draining_machines_are_not(pool: TwoSchedds) -> None:
    pool.advertise(Ghost("ghost", "small"))
    found = ask(pool)
    assert free_cores(found) == CORES
    assert (found.offers, found.machines) == ({"small": 1}, 1)
    assert "HasFileTransfer = true" in found.slots[0].ad
    pool.run_for_real(1, "alice")
    pool.wait_for(lambda: free_cores(ask(pool)) == CORES - 1, "the rest of the slot")
    pool.tool("condor_drain", pool.schedds()[1].partition("@")[2])
    pool.wait_for(lambda: free_cores(ask(pool)) == 0, "the machine to drain")


def test_without_any_collector_the_fault_names_each(pool: TwoSchedds) -> None:
    async def run(workers: PoolWorkers) -> SlotPicture:
        return await SlotWatch(workers, lambda: ("127.0.0.1:1", "127.0.0.1:2"), INTERVAL_S).ask([])

    fault = pool.with_workers(run).fault
    assert fault is not None
    assert fault.startswith("127.0.0.1:1: ")
    assert "; 127.0.0.1:2: " in fault
