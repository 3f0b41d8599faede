"""FS: a directory proves the peer's user, only to the intended daemon."""

from typing import Any

import pytest

from annexd.cedar.context import Endpoint
from annexd.cedar.events import NeedFilesystemProof
from test.cedar.client import FS, Client
from test.cedar.conversation import Conversation, server

BEHIND_SHARED_PORT = Endpoint("127.0.0.1", 9618, "annexd_1_ca11")


def _prove(local: Endpoint, extension: str, *, made: int = 0, **changes: Any) -> tuple[int, Client]:
    client = Client(Conversation.at(server(**changes), local))
    client.start()
    client.receive_ad()
    assert client.offer(FS) == FS
    return client.pass_fs(extension, made), client


@pytest.mark.parametrize(
    ("local", "extension"),
    [
        (Endpoint("127.0.0.1", 9618), ""),
        (Endpoint("127.0.0.1", 9618), "127.0.0.1:9618"),
        (Endpoint("::1", 9618), "[::1]:9618"),
        (BEHIND_SHARED_PORT, "127.0.0.1:9618"),
        (BEHIND_SHARED_PORT, "127.0.0.1:9618?sock=annexd_1_ca11"),
        (BEHIND_SHARED_PORT, "public.example.org:9618?sock=annexd_1_ca11"),
    ],
)
def test_a_directory_for_this_daemon_is_checked(local: Endpoint, extension: str) -> None:
    result, client = _prove(local, extension, advertised=("public.example.org:9618",))
    assert result == 0
    question = client.conversation.questions[0]
    assert isinstance(question, NeedFilesystemProof)
    assert question.path.startswith(f"/tmp/FS_{local.ip}_9618_")
    assert question.path.endswith(f"_{extension}")


@pytest.mark.parametrize(
    ("local", "extension"),
    [
        (BEHIND_SHARED_PORT, "127.0.0.1:9619"),
        (BEHIND_SHARED_PORT, "10.0.0.1:9618?sock=annexd_1_ca11"),
        (BEHIND_SHARED_PORT, "127.0.0.1:9618?sock=schedd_1_ca11"),
        (BEHIND_SHARED_PORT, "127.0.0.1:9618?sock="),
        (Endpoint("127.0.0.1", 9618), "127.0.0.1:9618?sock=schedd_1_ca11"),
        (Endpoint("127.0.0.1", 9618), "/../../home/alice"),
        (Endpoint("127.0.0.1", 9618), "127.0.0.1:9618/x"),
        (Endpoint("127.0.0.1", 9618), "x"),
    ],
)
def test_a_directory_for_another_daemon_is_not_even_checked(local: Endpoint, extension: str) -> None:
    result, client = _prove(local, extension)
    assert result == -1
    assert not client.conversation.questions


def test_a_peer_that_could_not_make_the_directory_proves_nothing() -> None:
    result, client = _prove(Endpoint("127.0.0.1", 9618), "", made=-1)
    assert result == -1
    assert not client.conversation.questions


@pytest.mark.parametrize(
    ("owner", "changes", "user"),
    [
        ("alice", {}, "alice@annex.test"),
        ("root", {}, "condor@annex.test"),
        ("root", {"root_to_condor": False}, "root@annex.test"),
        ("alice@ad.example", {}, "alice@ad.example@annex.test"),
        ("alice", {"canonical_user": lambda method, name: f"{method}-{name}"}, "FS-alice@annex.test"),
        ("alice", {"canonical_user": lambda *_: "bob@example.org"}, "bob@example.org"),
    ],
)
def test_the_owner_becomes_a_user_of_the_domain_unless_mapped(owner: str, changes: dict[str, Any], user: str) -> None:
    conversation = Conversation.at(server(**changes), owner=owner)
    client = Client(conversation)
    client.start()
    client.receive_ad()
    client.offer(FS)
    client.pass_fs()
    assert conversation.command().identity.user == user


def test_every_directory_has_a_unique_name() -> None:
    context = server()
    names = set()
    for _ in range(20):
        client = Client(Conversation.at(context))
        client.start()
        client.receive_ad()
        client.offer(FS)
        names.add(client.receive().string())
    assert len(names) == 20
