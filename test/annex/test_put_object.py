"""The object of an annex exists before its instances and goes with them, whatever S3 returns meanwhile."""

import pytest

from annexd.aws import ClientCache
from test.annex.joining import BUCKET, BundleSources
from test.annex.site import HANG_TIMEOUT_S, Site
from test.replies import accepted


def keys(site: Site) -> list[str]:
    return [each["Key"] for each in site.cloud.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", ())]


def test_the_object_is_there_before_the_instances(joined: Site) -> None:
    reply = joined.order()
    assert reply["Result"] == "Success", reply
    operations = joined.operations()
    assert operations.index("PutObject") < operations.index("RequestSpotFleet")
    assert keys(joined) == [f"annex/{reply['AnnexID']}.tar.gz"]


@pytest.mark.parametrize(
    ("kind", "when"),
    [("throttle", "before"), ("internal", "after"), ("reset", "before"), ("reset", "after"), ("hang", "after")],
)
def test_a_put_that_fails_for_a_while_is_made_again(joined: Site, kind: str, when: str) -> None:
    joined.cache = ClientCache(read_timeout=HANG_TIMEOUT_S)
    joined.cloud.fault("PutObject", kind, times=1, when=when, hang_s=HANG_TIMEOUT_S * 2)
    accepted(joined.order())
    assert len(keys(joined)) == 1


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidBucketState"])
def test_a_put_that_is_refused_leaves_nothing(joined: Site, code: str) -> None:
    joined.cloud.fault("PutObject", "error", times=9, code=code, status=403)
    reply = joined.order()
    assert reply["Result"] == "Failure"
    assert f"PutObject s3://{BUCKET}/annex/{reply['AnnexID']}.tar.gz" in str(reply["ErrorString"])
    assert joined.operations().count("PutObject") == 1
    assert keys(joined) == []
    joined.check_nothing_left()


def test_when_the_fleet_is_refused_the_object_goes(joined: Site) -> None:
    joined.cloud.fault("RequestSpotFleet", "denied", times=9)
    joined.cloud.fault("DeleteObject", "internal", times=2)
    assert joined.order()["Result"] == "Failure"
    assert keys(joined) == []
    joined.check_nothing_left()


def test_an_object_that_cannot_be_deleted_is_deleted_later(joined: Site) -> None:
    joined.cloud.fault("RequestSpotFleet", "denied", times=9)
    joined.cloud.fault("DeleteObject", "denied", times=99)
    reply = joined.order()
    assert "put_object could not be undone yet" in str(reply["ErrorString"])
    assert len(keys(joined)) == 1
    joined.cloud.clear_faults()
    [(result, _)] = joined.restart()
    assert (result, keys(joined)) == ("Failure", [])


def test_a_missing_signing_key_stops_the_order_with_the_remedy(joined: Site) -> None:
    joined.bundle_sources.key = None
    reply = joined.order()
    assert reply["Result"] == "InvalidRequest"
    assert "-no-join" in str(reply["ErrorString"])
    assert joined.operations() == []
    accepted(joined.order(JoinPool=False))
    assert keys(joined) == []


def test_neither_token_nor_file_is_in_the_journal(joined: Site) -> None:
    joined.bundle_sources = BundleSources({"/home/alice/config": {"mine.conf": b"PRIVATE_WORDS = 17\n"}})
    accepted(joined.order(ConfigDir="/home/alice/config"))
    for file in joined.home.iterdir():
        content = file.read_bytes()
        assert b"PRIVATE_WORDS" not in content
        assert b"eyJ" not in content, "the beginning of every token"
