"""The requester's keys are read anew for each call, and told to nobody."""

from collections.abc import Mapping

import pytest

from annexd.annex.access import KeyFiles
from annexd.workflow import Json, Refused

ORDER: Json = {
    "owner": "alice@example.org",
    "public_key_file": "/public",
    "secret_key_file": "/secret",
    "endpoints": {
        "region": "us-east-1",
        "ec2_url": "http://127.0.0.1:1",
        "events_url": "http://127.0.0.1:1",
        "lambda_url": "http://127.0.0.1:1",
    },
}
KEYS = {"/public": b"AKIAALICE\n", "/secret": b" alice's/secret+key \n"}


class Files:
    """Files as the requester may read them, and who asked for which."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.asked: list[tuple[str, str]] = []

    def __call__(self, owner: str, path: str) -> bytes:
        self.asked.append((owner, path))
        if path not in self.files:
            raise PermissionError(f"{path} does not belong to the requester")
        return self.files[path]


def test_files_are_read_as_the_owner_each_time_so_that_rotated_keys_are_used() -> None:
    files = Files(KEYS)
    access = KeyFiles(files)
    first = access(ORDER)
    assert access(ORDER) is first
    files.files["/secret"] = b"rotated"
    assert access(ORDER) is not first
    assert set(files.asked) == {("alice@example.org", "/public"), ("alice@example.org", "/secret")}


def test_a_file_that_may_not_be_read_is_told_and_had_no_effect() -> None:
    with pytest.raises(Refused, match="PublicKeyFile cannot be used: /public does not belong") as caught:
        KeyFiles(Files({}))(ORDER)
    assert caught.value.untouched


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"[default]\nkey = 1", "ä".encode(), b"x" * 600, b"\0"])
def test_a_file_that_holds_no_key_is_told_without_its_content(content: bytes) -> None:
    with pytest.raises(Refused) as caught:
        KeyFiles(Files(KEYS | {"/secret": content}))(ORDER)
    assert str(caught.value) == "SecretKeyFile /secret must hold one AWS key and nothing else"


def test_without_files_keys_are_lent_only_if_the_administrator_says_so() -> None:
    order = ORDER | {"public_key_file": None, "secret_key_file": None}
    with pytest.raises(Refused, match="lends no keys"):
        KeyFiles(Files(KEYS))(order)
    assert KeyFiles(Files(KEYS), allow_default=True)(order)
