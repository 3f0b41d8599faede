"""The ALLOW_* and DENY_* lists of the parity suite, and the users and addresses of their clients."""

import random
from collections.abc import Iterator, Sequence

from test.parity.clients import Client, by, claiming, with_certificate, with_requirements, with_token
from test.parity.servers import Server, server_with

LEVELS = (
    "READ",
    "WRITE",
    "NEGOTIATOR",
    "ADMINISTRATOR",
    "CONFIG",
    "DAEMON",
    "ADVERTISE_STARTD",
    "ADVERTISE_SCHEDD",
    "ADVERTISE_MASTER",
)
UNAUTHENTICATED = with_requirements(
    AUTHENTICATION="NEVER", ENCRYPTION="NEVER", INTEGRITY="NEVER", NEGOTIATION="PREFERRED"
)
# Unauthenticated clients are accepted, so that the lists decide.
OPEN = "SEC_DEFAULT_AUTHENTICATION = OPTIONAL\nSEC_DEFAULT_ENCRYPTION = OPTIONAL\nSEC_DEFAULT_INTEGRITY = OPTIONAL\n"


def coming_from(address: str) -> Client:
    return Client(f"from {address}", {"NETWORK_INTERFACE": address})


def claiming_to_be(name: str, domain: str) -> Client:
    return by("CLAIMTOBE", f"CLAIMTOBE as {name} of {domain}", SEC_CLAIMTOBE_USER=name, UID_DOMAIN=domain)


USERS = (
    by("FS"),
    *(
        claiming_to_be(name, domain)
        for name, domain in (
            ("alice", "annexd.test"),
            ("ALICE", "annexd.test"),
            ("bob", "annexd.test"),
            ("alice", "elsewhere.org"),
            ("condor", "annexd.test"),
            ("condor_pool", "annexd.test"),
            ("condor", "elsewhere.org"),
            ("condor", "family"),
        )
    ),
    claiming("alice@annexd.test", UID_DOMAIN="annexd.test"),  # becomes alice@annexd.test@annexd.test
    with_token("of bob"),
    with_token("of an administrator"),
    with_token("limited to WRITE"),
    with_token("without a domain"),
    with_certificate("bob"),
    with_certificate("alice"),
    by("ANONYMOUS"),
    UNAUTHENTICATED,
)
ADDRESSES = tuple(map(coming_from, ("127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.0.1")))
ENTRIES = (
    "*",
    "*/*",
    "*@*",
    "*@annexd.test",
    "alice@annexd.test",
    "ALICE@annexd.TEST",
    "al*@annexd.test",
    "*ice@annexd.test",
    "a*e@annexd.test",
    "*lic*",
    "alice@*",
    "alice",
    "alice@",
    "@annexd.test",
    "bob@annexd.test",
    "condor@annexd.test",
    "condor_pool@annexd.test",
    "condor@*",
    "condor_pool@*",
    "unauthenticated@unmapped",
    "*@unmapped",
    "ssl@unmapped",
    "127.0.0.1",
    "127.0.0.2",
    "127.0.0.*",
    "127.0.*",
    "127.*",
    "127.1.2.3",
    "127.0.0.0/8",
    "127.0.0.0/24",
    "127.0.0.0/255.255.255.0",
    "127.0.0.2/32",
    "127.0.0.2/31",
    "127.0.0.1/0",
    "127.0.0.0/33",
    "10.0.0.0/8",
    "1*",
    "0/0",
    "0.0.0.0/0",
    "::/0",
    "::1",
    "fe80:*",
    "::ffff:127.0.0.1",
    "[127.0.0.1]",
    "127.0.0",
    "127.0.0.",
    "127",
    "127.0.0.256",
    "127-0-0-1.annexd.test",
    "127-0-0-2.annexd.test",
    "127-0-0-*",
    "*.annexd.test",
    "127-*.annexd.test",
    "localhost",
    "localhost.localdomain",
    "nosuchhost.invalid",
    "*.invalid",
    "{:local_ips:}",
    "LocalHost",
    "alice@annexd.test/127.0.0.1",
    "alice@annexd.test/127.0.0.*",
    "alice@annexd.test/127.0.0.0/24",
    "alice@*/*",
    "*@annexd.test/127.1.*",
    "*/127.0.0.2",
    "*/127.0.0.0/31",
    "*/*.annexd.test",
    "*@*/127-0-0-1.annexd.test",
    "bob@annexd.test/10.0.0.0/8",
    "alice/127.0.0.1",
    "/127.0.0.1",
    "alice@annexd.test/",
    "alice@annexd.test/127.0.0.1/8/9",
    "condor@annexd.test/127.0.0.1",
    "*/",
    "/",
    "//",
    "**",
    "*@",
    "@",
    "a@b@c",
    "\u00e9@annexd.test",
    "!",
    "-",
    "<127.0.0.1>",
)
IPV6_ADDRESSES = (coming_from("::1"),)
IPV6_ENTRIES = (
    "::1",
    "::2",
    "0:0:0:0:0:0:0:1",
    "0000::0001",
    "::0.0.0.1",
    "[::1]",
    "::1%lo",
    "::1/128",
    "::2/127",
    "::/127",
    "::/64",
    "::/0",
    "::1/0",
    "::1/",
    "::1/129",
    "::1/ffff::",
    "8000::/1",
    "fd00::/8",
    "fe80:*",
    "0:*",
    "0:0:*",
    "0:0:0:0:0:0:0:*",
    "::*",
    ":*",
    "*:*",
    "1:*",
    "::ffff:127.0.0.1",
    "127.0.0.1",
    "127.*",
    "0.0.0.0/0",
    "0.0.0.1",
    "0--1.annexd.test",
    "0--*",
    "*--1.annexd.test",
    "--1.annexd.test",
    "*.annexd.test",
    "{:local_ips:}",
    "alice@annexd.test/::1",
    "alice@annexd.test/::2",
    "alice@annexd.test/::/64",
    "alice@annexd.test/::1/128",
    "alice@annexd.test/[::1]",
    "alice@annexd.test/0:*",
    "*@annexd.test/fd00::/8",
    "*/::1",
    "*/::/16",
    "*/0--1.annexd.test",
    "alice/::1",
    "alice@annexd.test",
    "condor@annexd.test/::1",
    "<::1>",
    "<[::1]>",
    "*",
)
SEPARATORS = (", ", ",", " ", " , ,  ")
COMMON = tuple(
    map(
        server_with,
        (
            "ALLOW_READ = alice@annexd.test",
            "ALLOW_READ = *; DENY_READ = alice@annexd.test",
            "ALLOW_READ =",
            "DENY_READ =",
            "DENY_READ = *",
            "DENY_WRITE = *",
            "DENY_WRITE = *@annexd.test; ALLOW_WRITE = alice@annexd.test",
            "DENY_ADMINISTRATOR = *; ALLOW_ADMINISTRATOR = *",
            "ALLOW_ADMINISTRATOR = *; DENY_WRITE = bob@*",
            "ALLOW_ADMINISTRATOR = alice@annexd.test; ALLOW_WRITE =; ALLOW_READ = nobody@nowhere",
            "ALLOW_DAEMON = alice@annexd.test/127.0.0.2; ALLOW_WRITE =",
            "ALLOW_DAEMON =; ALLOW_DEFAULT = bob@annexd.test",
            "ALLOW_DEFAULT = alice@*; ALLOW_ADMINISTRATOR =; ALLOW_CONFIG =",
            "DENY_DEFAULT = bob@*; ALLOW_DEFAULT = *",
            "ALLOW_DEFAULT = *; DENY_DAEMON = 127.0.0.2",
            "ALLOW_CONFIG = *",
            "ALLOW_NEGOTIATOR = alice@annexd.test",
            "ALLOW_ADVERTISE_STARTD = alice@*; ALLOW_DAEMON = bob@*",
            "ALLOW_ADVERTISE_MASTER = *; ALLOW_READ = nobody@nowhere",
            "DENY_ADVERTISE_SCHEDD = alice@*; ALLOW_DAEMON = *",
            "DENY_DAEMON = alice@*; ALLOW_ADVERTISE_SCHEDD = alice@*",
            "ALLOW_WRITE_SCHEDD = bob@*; ALLOW_WRITE_ANNEXD = bob@*; ALLOW_WRITE = alice@*",
            "DENY_WRITE_SCHEDD = bob@*; DENY_WRITE_ANNEXD = bob@*",
            "ALLOW_READ_SCHEDD = alice@*; ALLOW_READ_ANNEXD = alice@*",
            "ALLOW_WRITE_SCHEDD =; ALLOW_WRITE_ANNEXD =; ALLOW_WRITE = bob@*",
            "ALLOW_DEFAULT_SCHEDD = *; ALLOW_DEFAULT_ANNEXD = *",
            "ALLOW_DAEMON_SCHEDD = bob@*; ALLOW_DAEMON_ANNEXD = bob@*; ALLOW_ADVERTISE_STARTD = alice@*",
            "ALLOW_ADMINISTRATOR_SCHEDD = alice@*; ALLOW_ADMINISTRATOR_ANNEXD = alice@*; DENY_ADMINISTRATOR = alice@*",
            "SCHEDD.ALLOW_WRITE = bob@*; ANNEXD.ALLOW_WRITE = bob@*",
            "ALLOW_WRITE = condor@annexd.test",
            "ALLOW_WRITE = condor_pool@annexd.test",
            "DENY_WRITE = condor_pool@annexd.test; ALLOW_WRITE = *",
            "ALLOW_WRITE = condor_pool@annexd.test; USE_POOL_USERNAME_EQUIVALENT = False",
            "HOSTALLOW_WRITE = *; ALLOW_WRITE = bob@*",
            "HOSTDENY_WRITE = *; ALLOW_WRITE = *",
            "ALLOW_SOAP = *",
            "ALLOW_OWNER = *",
            "ALLOW_CLIENT = bob@*; DENY_CLIENT = *",
            "LEGACY_ALLOW_SEMANTICS = True; ALLOW_WRITE = alice@*; ALLOW_DAEMON =",
            "LEGACY_ALLOW_SEMANTICS = True; ALLOW_DAEMON =; ALLOW_WRITE = *; DENY_WRITE = bob@*",
            "ALLOW_WRITE = +group",
            "ALLOW_WRITE = *; DENY_WRITE = +group",
            "NO_DNS = False; ALLOW_WRITE = localhost",
            "NO_DNS = False; ALLOW_WRITE = local*",
            "NO_DNS = False; DENY_WRITE = localhost; ALLOW_WRITE = *",
        ),
    )
)


def each_entry(entries: Sequence[str]) -> Iterator[Server]:
    """Yield each entry alone in an ALLOW list, and in a DENY list with an ALLOW list of *."""
    for entry in entries:
        yield server_with(f"ALLOW_WRITE = {entry}; ALLOW_ADMINISTRATOR =; ALLOW_DAEMON = *; DENY_DAEMON = {entry}")


def random_server(chance: random.Random, entries: Sequence[str]) -> Server:
    """Create random lists for random levels, some of them specific to the two daemons."""
    return server_with("; ".join(_line(chance, entries) for _ in range(chance.randint(1, 6))))


def _line(chance: random.Random, entries: Sequence[str]) -> str:
    kind, level = chance.choice(("ALLOW", "ALLOW", "DENY")), chance.choice((*LEVELS, "DEFAULT"))
    listed = chance.choice(SEPARATORS).join(chance.choices(entries, k=chance.randint(0, 4)))
    if chance.random() < 0.2:
        return "; ".join(f"{kind}_{level}_{daemon} = {listed}" for daemon in ("SCHEDD", "ANNEXD"))
    return f"{kind}_{level} = {listed}"


def random_client(chance: random.Random, addresses: Sequence[Client]) -> Client:
    return chance.choice(USERS) + chance.choice(addresses)
