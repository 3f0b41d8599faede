"""The reconciliation of both sides' security policies."""

from typing import Any

import pytest

from annexd.cedar.commands import Command
from annexd.cedar.errors import PolicyMismatch
from annexd.cedar.levels import Level
from annexd.cedar.policy import Agreement, Requirement, SecurityPolicy, for_command, reconcile

N, O, P, R = Requirement  # noqa: E741 (as in HTCondor's table)
READ = Command(60020, "DC_NOP_READ", Level.READ)
OPEN = Command(60011, "DC_NOP", Level.ALLOW)
FORCED = Command(1000, "CA_AUTH_CMD", Level.WRITE, force_authentication=True)
CLIENT = {
    "authentication": "OPTIONAL",
    "authenticationnew": "OPTIONAL",
    "encryption": "OPTIONAL",
    "integrity": "OPTIONAL",
    "authmethods": "FS,TOKEN,KERBEROS",
    "cryptomethods": "AES,BLOWFISH,3DES",
    "sessionduration": "60",
    "sessionlease": 3600,
}


def _agree(policy: SecurityPolicy, command: Command = READ, **client: object) -> Agreement:
    return reconcile({**CLIENT, **client}, for_command(policy, command))


@pytest.mark.parametrize(
    ("client", "results"),  # for a server with REQUIRED, PREFERRED, OPTIONAL, NEVER
    [
        ("REQUIRED", (True, True, True, None)),
        ("PREFERRED", (True, True, True, False)),
        ("OPTIONAL", (True, True, False, False)),
        ("NEVER", (None, False, False, False)),
    ],
)
def test_requirements_are_reconciled_by_htcondors_table(client: str, results: tuple[bool | None, ...]) -> None:
    for ours, expected in zip((R, P, O, N), results, strict=True):
        policy = SecurityPolicy(authentication=ours)
        if expected is None:
            with pytest.raises(PolicyMismatch):
                _agree(policy, authenticationnew=client)
        else:
            assert _agree(policy, authenticationnew=client).authentication is expected


@pytest.mark.parametrize(
    ("spelled", "agreed"),
    [
        ("REQUIRED", True),
        ("yes", True),
        ("True", True),
        ("r", True),
        ("p", True),
        ("OPT", False),
        ("F", False),
        ("", False),
    ],
)
def test_only_the_first_letter_of_a_requirement_counts(spelled: str, agreed: bool) -> None:
    assert _agree(SecurityPolicy(), authenticationnew=spelled).authentication is agreed


def test_the_cache_never_mixes_up_agreements() -> None:
    server = for_command(SecurityPolicy(), READ)
    texts: tuple[object, ...] = ("REQUIRED", "NEVER", True, 1, 1.0, None, "OPTIONAL")  # True == 1 == 1.0 in Python
    agreed = [reconcile({**CLIENT, "authenticationnew": text}, server).authentication for text in texts]
    assert agreed == [True, False, True, False, False, False, False]
    assert [reconcile({**CLIENT, "authenticationnew": text}, server).authentication for text in texts] == agreed
    strict = for_command(SecurityPolicy(authentication=R), READ)
    assert reconcile(CLIENT, strict).authentication
    assert not reconcile(CLIENT, server).authentication


def test_for_a_client_before_23_10_encryption_requires_authentication() -> None:
    old = {name: value for name, value in CLIENT.items() if name != "authenticationnew"}
    server = for_command(SecurityPolicy(encryption=R), READ)
    assert reconcile(old, server).authentication
    assert not reconcile(CLIENT, server).authentication, "a newer one is asked for authentication itself"


def test_encryption_raises_authentication_and_negotiation() -> None:
    server = for_command(SecurityPolicy(encryption=R, negotiation=O), READ)
    assert server.policy.authentication is R
    assert server.policy.negotiation is R
    assert server.authentication_new is O
    assert not server.accepts_raw_commands


def test_features_that_are_only_preferred_become_never_without_authentication() -> None:
    server = for_command(SecurityPolicy(authentication=N, encryption=P, integrity=O), READ)
    assert server.policy.encryption is N
    assert server.policy.integrity is N


@pytest.mark.parametrize(
    "policy",
    [
        SecurityPolicy(authentication=N, encryption=R),
        SecurityPolicy(authentication=N, integrity=R),
        SecurityPolicy(negotiation=N, authentication=R),
    ],
)
def test_a_contradictory_configuration_is_refused(policy: SecurityPolicy) -> None:
    with pytest.raises(PolicyMismatch, match="correct the SEC_"):
        for_command(policy, READ)


def test_a_command_can_force_authentication() -> None:
    assert _agree(SecurityPolicy(authentication=O), FORCED).authentication
    with pytest.raises(PolicyMismatch):
        _agree(SecurityPolicy(authentication=O), FORCED, authenticationnew="NEVER")


def test_a_command_open_to_everyone_does_not_force_authentication() -> None:
    assert not _agree(SecurityPolicy(authentication=R), OPEN).authentication


def test_aes_with_authentication_always_encrypts() -> None:
    agreed = _agree(SecurityPolicy(authentication=R), encryption="NEVER", integrity="NEVER")
    assert (agreed.authentication, agreed.encryption, agreed.integrity) == (True, True, True)


@pytest.mark.parametrize(
    ("ours", "theirs", "methods"),
    [
        (("FS", "IDTOKENS"), "FS,TOKEN,KERBEROS", ("FS", "TOKEN")),
        (("IDTOKENS", "FS"), "FS TOKENS", ("TOKENS", "FS")),
        (("TOKEN",), "idtokens", ("idtokens",)),
        (("FS",), "SSL,KERBEROS", ()),
        (("FS",), "", ()),
    ],
)
def test_common_methods_are_in_the_servers_order_and_the_clients_spelling(
    ours: tuple[str, ...], theirs: str, methods: tuple[str, ...]
) -> None:
    assert _agree(SecurityPolicy(methods=ours), authmethods=theirs).methods == methods


def test_without_a_common_cipher_the_handshake_fails() -> None:
    with pytest.raises(PolicyMismatch, match="add AES"):
        _agree(SecurityPolicy(), cryptomethods="BLOWFISH,3DES")


def test_aes_is_preferred_at_any_position_in_either_list() -> None:
    agreed = _agree(SecurityPolicy(crypto_methods=("BLOWFISH", "AES")), cryptomethods="3DES,BLOWFISH,AES")
    assert agreed.ciphers == ("AES", "BLOWFISH")
    assert agreed.cipher == "AES"


def test_the_servers_order_of_legacy_ciphers_decides_and_triple_des_has_two_names() -> None:
    agreed = _agree(SecurityPolicy(crypto_methods=("AES", "3DES", "BLOWFISH")), cryptomethods="BLOWFISH,TripleDES")
    assert agreed.ciphers == ("TripleDES", "BLOWFISH")
    assert agreed.cipher == "3DES"


@pytest.mark.parametrize("feature", ["encryption", "integrity"])
def test_with_a_legacy_cipher_encryption_and_integrity_are_negotiated(feature: str) -> None:
    both = SecurityPolicy(crypto_methods=("BLOWFISH",))
    requirements: dict[str, Any] = {"encryption": "OPTIONAL", "integrity": "OPTIONAL", feature: "REQUIRED"}
    agreed = _agree(both, cryptomethods="BLOWFISH", **requirements)
    assert agreed.encryption is (feature == "encryption")
    assert agreed.integrity is (feature == "integrity")


@pytest.mark.parametrize(
    ("theirs", "ours", "agreed"),
    [
        ("60", 86400, 60),
        (60, 86400, 60),
        ("90000", 86400, 86400),
        ("", 60, 0),
        (None, 60, 0),
        ("-5", 60, 0),
        ("9" * 50, 60, 0),
    ],
)
def test_the_shorter_duration_applies(theirs: object, ours: int, agreed: int) -> None:
    assert _agree(SecurityPolicy(session_duration_s=ours), sessionduration=theirs).duration_s == agreed


@pytest.mark.parametrize(("theirs", "ours", "agreed"), [(60, 3600, 60), (0, 3600, 3600), (60, 0, 60), (0, 0, 0)])
def test_the_shorter_lease_applies_and_zero_means_no_preference(theirs: int, ours: int, agreed: int) -> None:
    assert _agree(SecurityPolicy(session_lease_s=ours), sessionlease=theirs).lease_s == agreed


def test_a_client_without_support_for_leases_gets_none() -> None:
    without = {name: value for name, value in CLIENT.items() if name != "sessionlease"}
    assert reconcile(without, for_command(SecurityPolicy(), READ)).lease_s is None


@pytest.mark.parametrize(
    ("policy", "client", "required"),
    [(P, "OPTIONAL", False), (R, "OPTIONAL", True), (O, "REQUIRED", True), (P, "PREFERRED", False)],
)
def test_authentication_may_fail_only_if_neither_requires_it(policy: Requirement, client: str, required: bool) -> None:
    agreed = _agree(SecurityPolicy(authentication=policy), authenticationnew=client)
    assert agreed.authentication_required is required
