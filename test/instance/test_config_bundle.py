"""Test that a bundle read from S3 is treated as hostile: nothing leaves the folders, and nothing fills the disk."""

from __future__ import annotations

import gzip
import json
import tarfile
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test.instance.account import CONFIG, TOKEN, config_bundle, manifest, member, tarball
from test.instance.script import script

GOOD = config_bundle("annex-one", 1_900_000_000)
MANIFEST = json.dumps(manifest("annex-one", 1_900_000_000)).encode()


def unpacked(content: bytes, name: str = "annex-one.tar.gz") -> Any:
    return script.unpacked(content, name)


def refused(content: bytes, why: str, name: str = "annex-one.tar.gz") -> None:
    with pytest.raises(script.Refused, match=why):
        unpacked(content, name)


def of(name: str, content: bytes = b"A = 1\n", **more: Any) -> bytes:
    return tarball([(member("annex.json"), MANIFEST), (member(name, **more), content)])


def test_a_tarball_is_the_annexs_files_its_token_and_its_lease() -> None:
    found = unpacked(GOOD)
    assert found.files == {"50-condor-annex.conf": CONFIG.encode()}
    assert found.token == f"{TOKEN}\n".encode()
    assert (found.manifest.annex_id, found.manifest.lease_end_s) == ("annex-one", 1_900_000_000)


def test_the_repr_of_a_bundle_holds_no_secret() -> None:
    assert TOKEN not in repr(unpacked(GOOD))


def test_a_plain_file_is_a_configuration_file() -> None:
    assert unpacked(CONFIG.encode(), "config-mine").files == {"config-mine": CONFIG.encode()}


def test_a_tarball_that_was_made_of_a_folder_by_hand_is_taken() -> None:
    content = tarball([(member(".", type=tarfile.DIRTYPE), b""), (member("./50-mine"), b"A = 1\n")])
    assert unpacked(content).files == {"50-mine": b"A = 1\n"}


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/cron.d/job",
        "./../outside",
        "folder/file",
        "..",
        ".hidden",
        "#hash",
        "a~",
        "a.rpmsave",
        "",
        "a\nb",
        "a" * 129,
        "a b",
        "é",
        "-rf",
        "./-c",
        "a/../../b",
        "C:\\x",
        "\0x",
    ],
)
def test_a_name_that_could_leave_the_folder_or_mislead_is_refused(name: str) -> None:
    refused(of(name), "is not a valid name for a configuration file|not a valid tarball|not a plain file")


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (tarfile.SYMTYPE, {"linkname": "/etc/shadow"}),
        (tarfile.LNKTYPE, {"linkname": "annex.json"}),
        (tarfile.CHRTYPE, {"devmajor": 1, "devminor": 3}),
        (tarfile.BLKTYPE, {"devmajor": 8, "devminor": 0}),
        (tarfile.FIFOTYPE, {}),
        (tarfile.DIRTYPE, {}),
        (tarfile.CONTTYPE, {}),
        (tarfile.GNUTYPE_SPARSE, {}),
        (b"Z", {}),
    ],
)
def test_an_entry_that_is_not_a_plain_file_is_refused(kind: bytes, more: dict[str, Any]) -> None:
    refused(of("50-mine", b"", type=kind, **more), "not a plain file|not a valid tarball")


def test_a_link_and_then_a_file_through_it_is_refused() -> None:
    link = member("50-mine", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    refused(tarball([(link, b""), (member("50-mine"), b"x")]), "not a plain file")


def test_a_name_that_is_there_twice_is_refused() -> None:
    refused(tarball([(member("50-mine"), b"A = 1\n"), (member("./50-mine"), b"A = 2\n")]), "50-mine twice")


def test_too_many_members_are_refused() -> None:
    refused(tarball((member(f"m{number}"), b"") for number in range(300)), "more than 256 members")


def test_a_file_that_unpacks_to_gigabytes_is_refused_before_it_does() -> None:
    refused(gzip.compress(bytes(64 << 20)), "unpacks to more than")


@pytest.mark.parametrize("size", [1 << 40, (8 << 30) - 1, 10_000, 513])
def test_a_size_that_is_a_lie_is_refused(size: int) -> None:
    header = member("50-mine", size=size).tobuf(tarfile.GNU_FORMAT)
    refused(gzip.compress(header + b"abcd".ljust(512, b"\0")), "claims a size|cut short|not a valid")


def test_a_damaged_or_shortened_file_is_refused() -> None:
    refused(GOOD[:-9], "not one whole gzip file")
    refused(GOOD + b"more", "not one whole gzip file")
    refused(GOOD[:40] + bytes(8) + GOOD[48:], "damaged|not a valid|not one whole")
    refused(b"\x1f\x8b" + bytes(100), "damaged")
    refused(gzip.compress(b"no tarball at all" * 100), "not a valid tarball")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"A = 1\0", b"\x7fELF\x02\x01\x01\x00"])
def test_a_configuration_file_that_is_not_text_is_refused(content: bytes) -> None:
    refused(content, "is not text", "config-mine")
    refused(of("50-mine", content), "is not text")


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"{}",
        b'{"AnnexID": "a"}',
        b'{"AnnexID": 1, "LeaseEnd": 2}',
        b'{"AnnexID": "../a", "LeaseEnd": 2}',
        b'{"AnnexID": "a", "LeaseEnd": "2"}',
        b'{"AnnexID": "a", "LeaseEnd": true}',
        b'{"AnnexID": "a", "LeaseEnd": 1e99}',
        b"[" * 100_000,
    ],
)
def test_an_annex_json_without_annex_or_lease_is_refused(manifest: bytes) -> None:
    refused(tarball([(member("annex.json"), manifest)]), "annex.json")


@pytest.mark.parametrize("token", [b"", b"no token", b"a.b", b"a.b.c\nd.e.f", b"a.b.c" * 10_000, b"a.b.c; rm"])
def test_an_invalid_token_is_refused_without_being_shown(token: bytes) -> None:
    with pytest.raises(script.Refused) as refusal:
        unpacked(tarball([(member("annex.token"), token)]))
    assert str(refusal.value) == "annex.token is not a token"


@settings(max_examples=150)
@given(st.binary(max_size=3000), st.booleans())
def test_any_bytes_are_a_config_bundle_or_refused(content: bytes, as_tarball: bool) -> None:
    try:
        unpacked(gzip.compress(content) if as_tarball else content)
    except script.Refused:
        return


PLAIN = zlib.decompress(GOOD, wbits=31)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(PLAIN) - 1), st.integers(0, 255)), max_size=8), st.integers(0, len(PLAIN)))
def test_any_change_of_a_tarball_is_a_config_bundle_within_its_folder_or_refused(
    changes: list[tuple[int, int]], cut: int
) -> None:
    raw = bytearray(PLAIN[:cut] if cut % 7 == 0 else PLAIN)
    for place, value in changes:
        raw[place % max(1, len(raw)) : place % max(1, len(raw)) + 1] = bytes([value])
    try:
        found = unpacked(gzip.compress(bytes(raw), compresslevel=1))
    except script.Refused:
        return
    assert all("/" not in name and not name.startswith(".") for name in found.files)
