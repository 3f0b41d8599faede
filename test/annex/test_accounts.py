"""An order's files are read as the account that its owner was when it was accepted, and as no other."""

from contextlib import suppress

import pytest

from annexd.annex.fleet.access import KeyFiles
from annexd.annex.request.defaults import Defaults
from annexd.workflow import Retry
from test.annex.keys import KEYS, NOWHERE, Files

OLD, NEW = Defaults(uid_domain="old.example.org"), "new.example.org"
ALICE, ADMIN = "alice@old.example.org", "admin@old.example.org"


def readers(**changes: object) -> set[str]:
    """As whom the key files of such an order are opened, on a host whose UID_DOMAIN is NEW."""
    files = Files(KEYS)
    with suppress(Retry):  # there is no AWS to say whose these keys are
        KeyFiles(files, defaults=Defaults(uid_domain=NEW))(NOWHERE | changes)
    return {reader for reader, _ in files.asked}


def test_the_account_of_an_order_outlives_the_domain_that_it_was_made_in() -> None:
    assert readers(owner=ALICE, accounts=OLD.accounts_of(ALICE)) == {"alice@new.example.org"}


def test_an_owner_who_takes_anothers_place_is_not_taken_for_him() -> None:
    assert readers(owner=ADMIN, accounts=OLD.accounts_of(ALICE)) == {ADMIN}


def test_who_had_no_account_at_the_order_gets_none_by_a_new_domain() -> None:
    owner = "alice@elsewhere.example.org"
    assert readers(owner=owner, accounts=OLD.accounts_of(owner)) == {owner}


@pytest.mark.parametrize("owner", ["alice@elsewhere.example.org", "alice", "@old.example.org", "alice@", "", "alice@@"])
def test_only_who_is_of_this_domain_is_an_account(owner: str) -> None:
    assert OLD.accounts_of(owner) == {}


def test_without_a_domain_nobody_is_an_account() -> None:
    assert Defaults().accounts_of("alice@") == Defaults().accounts_of("alice") == {}


def test_the_domain_is_compared_without_its_case() -> None:
    assert OLD.accounts_of("alice@OLD.example.org") == {"alice@OLD.example.org": "alice"}
