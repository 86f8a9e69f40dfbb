"""Which addresses a request may be sent to: a list of our own, and what the deployer opened. Pure: no network.

Not ``is_global`` of ``ipaddress``: that says who assigned an address, differs between releases of Python, and calls
some metadata services and ways back into the own network global.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["DENIED", "METADATA", "Address", "Network", "Policy", "is_listed", "parsed"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


#: Where clouds keep the credentials of a machine, and what can only be a neighbour on the wire. No setting opens them.
METADATA = _networks(
    "169.254.0.0/16",  # link local; AWS, Azure, Google and others have 169.254.169.254
    "100.100.100.200/32",  # Alibaba
    "192.0.0.192/32",  # Oracle
    "168.63.129.16/32",  # Azure's wire server
    "fd00:ec2::/32",  # AWS
    "fd20:ce::/32",  # Google
    "fd00:42::/32",  # Scaleway
    "fe80::/10",  # link local
)

#: What belongs to no server of the public internet.
DENIED = _networks(
    "0.0.0.0/8",  # this network; Linux takes 0.0.0.0 for itself
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # shared between carriers and their customers
    "127.0.0.0/8",  # this machine
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # relays of 6to4
    "192.168.0.0/16",  # private
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
    "2001::/23",  # protocol assignments, among them Teredo
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4, which leads to addresses of IPv4
    "3fff::/20",  # documentation
)
#: All else of IPv6 is assigned to nobody, or to no server.
_PUBLIC_IPV6 = IPv6Network("2000::/3")
#: Networks whose addresses stand for one of IPv4, and are as good as it is.
_MAPPED, _NAT64 = IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96")
#: Further ones with an address of IPv4 in their last 32 bits, which are denied for what they are.
_ENDING_IN_IPV4 = (IPv6Network("::/96"), IPv6Network("::ffff:0:0:0/96"), IPv6Network("64:ff9b:1::/48"))
_SIX_TO_FOUR, _TEREDO = IPv6Network("2002::/16"), IPv6Network("2001::/32")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")


def parsed(text: str) -> Address | None:
    """The address that a text is, without its zone; None when it is a name."""
    try:
        return ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def is_listed(host: str, patterns: tuple[str, ...]) -> bool:
    """Whether the host is one of these; ``*.example.org`` stands for all below it."""
    name = host.lower().rstrip(".")
    return bool(name) and any(
        name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern for pattern in patterns
    )


@dataclass(frozen=True)
class Policy:
    """What the deployer decided: see ``conf``."""

    #: False: no address is looked at.
    is_on: bool = True
    networks: tuple[Network, ...] = ()
    hosts: tuple[str, ...] = ()
    ports: frozenset[int] = frozenset({80, 443})

    def refusal(self, address: Address, host: str = "") -> str:
        """Why no request may be sent to this address, which was found for the host; empty when one may."""
        if not self.is_on:
            return ""
        found = _found_in(_all_meanings(address), METADATA)
        if found is not None:
            return f"{found} is for a machine's own metadata and its neighbours, which no setting opens"
        meant = _unwrapped(address)
        if self.is_open_host(host) or _found_in((address, meant), self.networks) is not None:
            return ""
        found = _found_in((address, meant), DENIED)
        if found is not None:
            return f"{found} is no part of the public internet"
        if isinstance(meant, IPv6Address) and meant not in _PUBLIC_IPV6:
            return "it is outside 2000::/3, the public part of IPv6"
        return ""

    def is_open_host(self, host: str) -> bool:
        """Whether the deployer opened this host by its name, whatever its addresses but those of metadata."""
        return is_listed(host, self.hosts)


def _found_in(addresses: tuple[Address, ...], networks: tuple[Network, ...]) -> Network | None:
    for network in networks:
        # An address of one version is in no network of the other.
        if any(address.version == network.version and address in network for address in addresses):
            return network
    return None


def _unwrapped(address: Address) -> Address:
    """The address of IPv4 that one of IPv6 is another spelling of."""
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _all_meanings(address: Address) -> tuple[Address, ...]:
    return (address, *_embedded(address)) if isinstance(address, IPv6Address) else (address,)


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """Every address of IPv4 that a router may find in this one."""
    number = int(address)
    is_isatap = (number >> 32) & 0xFFFFFFFF in (0x00005EFE, 0x02005EFE)
    if is_isatap or any(address in network for network in (_MAPPED, _NAT64, *_ENDING_IN_IPV4)):
        yield IPv4Address(number & 0xFFFFFFFF)
    if address in _NAT64_LOCAL:
        # With a prefix of 48 bits it stands on both sides of eight bits that are not used.
        yield IPv4Address(((number >> 64) & 0xFFFF) << 16 | (number >> 40) & 0xFFFF)
    if address in _SIX_TO_FOUR:
        yield IPv4Address(number >> 80 & 0xFFFFFFFF)
    if address in _TEREDO:
        yield IPv4Address(number >> 64 & 0xFFFFFFFF)
        yield IPv4Address(number & 0xFFFFFFFF ^ 0xFFFFFFFF)
