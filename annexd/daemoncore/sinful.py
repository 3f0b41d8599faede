"""Sinful strings, HTCondor's addresses, and the files that hold one.

Session caches compare addresses as text, so a daemon must always write its own in the same way.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from annexd.daemoncore.atomic_file import replace_file

SINFUL = re.compile(r"<(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s<>?:\[\]]+):(?P<port>\d{1,5})(?:\?(?P<params>[^\s<>]*))?>")

PRIVATE_ADDRESS = "PrivAddr"
ESCAPED = re.compile(r"[^A-Za-z0-9#+\-.:\[\]_]")


@dataclass(frozen=True)
class Sinful:
    """`<host:port?key=value&key>`; parameters keep their order and spelling."""

    host: str
    port: int
    parameters: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Sinful":
        """Parse a Sinful string.  Raises ValueError."""
        match = SINFUL.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"not an address: {text[:200]!r}")
        parameters = match["params"] or ""
        return cls(match["host"].strip("[]"), int(match["port"]), tuple(filter(None, parameters.split("&"))))

    @classmethod
    def own_port(cls, names: Sequence[tuple[str, int]], alias: str) -> "Sinful":
        """Return the address of a daemon on its own TCP ports, given as (ip, port).

        SSL clients check the certificate against `alias`.
        """
        dashed = [(f"[{ip.replace(':', '-')}]" if ":" in ip else ip, port) for ip, port in names]
        addresses = "+".join(f"{ip}-{port}" for ip, port in dashed)
        return cls(*names[0], (f"addrs={addresses}", f"alias={alias}", "noUDP"))

    def parameter(self, key: str) -> str | None:
        """Return the value of `key=value`, or None."""
        return next((value for name, _, value in (p.partition("=") for p in self.parameters) if name == key), None)

    def behind_shared_port(self, shared_port_id: str) -> "Sinful":
        """Add a daemon's shared port ID to condor_shared_port's address and to its private address.

        As SharedPortEndpoint::InitRemoteAddress does.  Raises ValueError if the private address is malformed.
        """
        named = self._named(shared_port_id)
        kept = tuple(p for p in named.parameters if p.partition("=")[0] not in ("sock", "noUDP"))
        return Sinful(self.host, self.port, (*kept, "noUDP", f"sock={shared_port_id}"))

    def _named(self, shared_port_id: str) -> "Sinful":
        """Set `sock`, also in the private address.  Raises ValueError if that is malformed."""
        kept = [p for p in self.parameters if p.partition("=")[0] != "sock"]
        for position, parameter in enumerate(kept):
            key, _, value = parameter.partition("=")
            if key == PRIVATE_ADDRESS:
                private = Sinful.parse(unquote(value))._named(shared_port_id)
                kept[position] = f"{key}={_escaped(str(private))}"
        return Sinful(self.host, self.port, (*kept, f"sock={shared_port_id}"))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = "?" + "&".join(self.parameters) if self.parameters else ""
        return f"<{host}:{self.port}{query}>"


def _escaped(text: str) -> str:
    """Escape a parameter's value (urlEncode of condor_sinful.cpp)."""
    return ESCAPED.sub(lambda match: f"%{ord(match[0]):02x}", text)


def read_shared_port_address(ad_file: Path) -> Sinful:
    """Read MyAddress from condor_shared_port's ad file.  Raises OSError (not there yet) or ValueError."""
    for line in ad_file.read_text(errors="replace").splitlines():
        name, _, value = line.partition("=")
        if name.strip().lower() == "myaddress":
            return Sinful.parse(value.strip().strip('"'))
    raise ValueError(f"{ad_file} has no MyAddress")


def write_address_file(path: Path, address: Sinful, version: str, platform: str) -> None:
    """Write <SUBSYSTEM>_ADDRESS_FILE, by which tools on this host find the daemon.  Raises OSError."""
    replace_file(path, f"{address}\n{version}\n{platform}\n")


def remove_address_file(path: Path, address: Sinful) -> None:
    """Remove the file unless another daemon has replaced it; errors are ignored."""
    try:
        if path.read_text().splitlines()[:1] == [str(address)]:
            path.unlink()
    except OSError:
        return
