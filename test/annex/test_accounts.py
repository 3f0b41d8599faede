"""An order's files are read as the account that its owner had when it was accepted, and as no other."""

from contextlib import suppress

import pytest

from annexd.annex.fleet.access import KeyFiles
from annexd.annex.request.defaults import Defaults
from annexd.workflow import Retry
from test.annex.keys import KEYS, Files
from test.annex.orders import target_at

OLD, NEW = Defaults(uid_domain="old.example.org"), "new.example.org"
ALICE = "alice@old.example.org"


def readers(owner: str, account: str | None) -> set[str]:
    """Return the users that open the key files of such an order on a host whose UID_DOMAIN is NEW."""
    files = Files(KEYS)
    with suppress(Retry):  # no AWS can say whose these keys are
        KeyFiles(files, defaults=Defaults(uid_domain=NEW))(target_at(owner=owner, account=account))
    return {reader for reader, _ in files.asked}


def test_the_account_of_an_order_outlives_the_domain_that_it_was_made_in() -> None:
    assert readers(ALICE, OLD.account_of(ALICE)) == {"alice@new.example.org"}


def test_an_owner_without_an_account_at_the_order_gets_none_by_a_new_domain() -> None:
    owner = "alice@elsewhere.example.org"
    assert readers(owner, OLD.account_of(owner)) == {owner}


@pytest.mark.parametrize("owner", ["alice@elsewhere.example.org", "alice", "@old.example.org", "alice@", "", "alice@@"])
def test_only_users_of_this_domain_are_accounts(owner: str) -> None:
    assert OLD.account_of(owner) is None


def test_without_a_domain_nobody_is_an_account() -> None:
    assert Defaults().account_of("alice@") is Defaults().account_of("alice") is None


def test_the_domain_is_compared_without_its_case() -> None:
    assert OLD.account_of("alice@OLD.example.org") == "alice"
