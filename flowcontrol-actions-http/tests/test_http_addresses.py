"""Which addresses are closed: the decision itself, without a network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcontrol_actions_http.addresses import Policy, parsed

ON, OFF = Policy(), Policy(is_on=False)
EVERYTHING = Policy(networks=(ip_network("0.0.0.0/0"), ip_network("::/0")), hosts=("*.test",))

#: Written once more, and from the registries: a network that falls out of the list of the code is missed here.
CLOSED = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32
::/96 ::1/128 ::ffff:0:0:0/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20
5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8
""".split()
NETWORKS = [ip_network(text) for text in CLOSED]
PUBLIC_IPV6 = ip_network("2000::/3")

METADATA = """
169.254.169.254 169.254.170.2 169.254.170.23 100.100.100.200 192.0.0.192 168.63.129.16
fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fd00:42::42 fe80::a9fe:a9fe
::ffff:169.254.169.254 ::169.254.169.254 ::ffff:0:169.254.169.254 64:ff9b::169.254.169.254 64:ff9b::100.100.100.200
64:ff9b:1::169.254.169.254 64:ff9b:1:a9fe:a9:fe00:: 2002:a9fe:a9fe:: 2002:c000:c0::1 2001:0:a9fe:a9fe::
2001:0:4136:e378:8000:63bf:5601:5601 2001:db8::5efe:169.254.169.254
""".split()


def is_closed(number: int, version: int) -> bool:
    """By the table above, in numbers."""
    if version == 6 and 0xFFFF << 32 <= number < 0x10000 << 32:
        return is_closed(number & 0xFFFFFFFF, 4)
    if version == 6 and number >> 32 == 0x64FF9B << 64:
        return is_closed(number & 0xFFFFFFFF, 4)
    listed = any(
        int(one.network_address) <= number <= int(one.broadcast_address)
        for one in NETWORKS
        if one.version == version
    )
    return listed or (version == 6 and ip_address(number) not in PUBLIC_IPV6) if version == 6 else listed


def edges() -> list[tuple[str, int, int]]:
    found = []
    for network in NETWORKS:
        first, last = int(network.network_address), int(network.broadcast_address)
        top = 2**network.max_prefixlen
        found += [
            (str(network), number, network.version)
            for number in (first - 1, first, last, last + 1)
            if 0 <= number < top
        ]
    return found


def address(number: int, version: int) -> IPv4Address | IPv6Address:
    return IPv4Address(number) if version == 4 else IPv6Address(number)


@pytest.mark.parametrize(("network", "number", "version"), edges())
def test_a_network_is_closed_from_its_first_to_its_last_address(network, number, version):
    one = address(number, version)
    assert bool(ON.refusal(one)) is is_closed(number, version), f"{one}, at the edge of {network}"
    assert OFF.refusal(one) == ""


@pytest.mark.parametrize(
    "text",
    ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::200e", "2001:4860::8888"],
)
def test_the_public_internet_is_open(text):
    assert ON.refusal(ip_address(text)) == ""


def test_an_address_has_as_many_spellings_as_it_likes_and_one_decision():
    for number in {number for _, number, version in edges() if version == 4}:
        for prefix in (0xFFFF << 32, 0x64FF9B << 96):
            spelled = IPv6Address(prefix | number)
            assert bool(ON.refusal(spelled)) is is_closed(number, 4), spelled


@given(st.integers(0, 2**32 - 1))
def test_every_address_of_ipv4_is_decided_alike_however_it_is_written(number):
    plain = IPv4Address(number)
    decision = bool(ON.refusal(plain))
    assert decision is is_closed(number, 4)
    assert bool(ON.refusal(IPv6Address(0xFFFF << 32 | number))) is decision
    assert bool(ON.refusal(IPv6Address(0x64FF9B << 96 | number))) is decision
    # Ways to IPv4 that nobody needs any more are closed as they are.
    assert ON.refusal(IPv6Address(0x2002 << 112 | number << 80))
    assert ON.refusal(IPv6Address(number))


@given(st.integers(0, 2**128 - 1))
def test_every_address_of_ipv6_is_decided_by_the_table(number):
    assert bool(ON.refusal(IPv6Address(number))) is is_closed(number, 6)


@pytest.mark.parametrize("text", METADATA)
def test_metadata_stay_closed_whatever_is_opened(text):
    assert OFF.refusal(ip_address(text)) == ""
    for policy in (ON, EVERYTHING):
        assert policy.refusal(ip_address(text), "open.test")


@pytest.mark.parametrize("text", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3"])
def test_a_network_that_the_deployer_opened_is_open_in_every_spelling(text):
    opened = Policy(networks=(ip_network("10.1.0.0/16"),))
    assert opened.refusal(ip_address(text)) == ""
    assert opened.refusal(ip_address("10.2.0.1"))
    assert opened.refusal(ip_address("2002:a01:203::"))


@pytest.mark.parametrize(
    ("host", "is_open"),
    [
        ("intra.example.org", True),
        ("INTRA.example.org.", True),
        ("a.b.lan", True),
        ("lan", False),
        ("evil-lan", False),
        ("intra.example.org.evil.net", False),
        ("", False),
    ],
)
def test_a_host_that_the_deployer_opened_may_have_any_address_but_those_of_metadata(host, is_open):
    policy = Policy(hosts=("intra.example.org", "*.lan"))
    assert (policy.refusal(ip_address("192.168.0.1"), host) == "") is is_open
    assert policy.refusal(ip_address("169.254.169.254"), host)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("0x7f.1", None),
        ("a.test", None),
    ],
)
def test_only_what_is_an_address_is_read_as_one(text, expected):
    assert parsed(text) == (None if expected is None else ip_address(expected))
