"""What one question costs among 100,000 networks, and what it costs to know who a request's client is."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TypeVar

from benchmarks.figures import Figure, Goal, median
from benchmarks.result import Result
from benchmarks.rounds import alternate
from benchmarks.setting import Setting
from countermark.core.grant import Network
from countermark.core.networks import NetworkSet
from countermark.core.request import Address
from countermark.keys.keyring import Keyring
from countermark.settings.model import HopSettings, ServerSettings
from countermark.web.hops import hops_of
from countermark.web.peers import Peers

Asked = TypeVar("Asked")

NETWORKS = 100_000
QUESTIONS = 2_000
GOAL = Goal("at most", 5)
FIELDS = {"host": "img.example.com", "user-agent": "a browser", "accept": "image/avif,image/webp,*/*;q=0.8"}
SECRET = "0123456789abcdef"


def measure(setting: Setting) -> Result:
    """Addresses at random, half of them inside; then whole requests, from strangers and over hops."""
    chance = random.Random(7)
    held: dict[str, tuple[NetworkSet, list[Address]]] = {}
    for name, make in (("IPv4", _network_4), ("IPv6", _network_6)):
        networks = [make(chance) for _ in range(NETWORKS)]
        held[f"{NETWORKS:,} networks, {name}"] = (NetworkSet(networks), _addresses(chance, networks))
    asked: dict[str, Callable[[], float]] = {
        name: partial(_microseconds, addresses, among.__contains__) for name, (among, addresses) in held.items()
    }
    asked |= {name: partial(_microseconds, addresses, _client(hops)) for name, hops, addresses in _peers(chance)}
    sides = alternate(asked, setting.rounds(15, 5))
    figures = [
        Figure(label=name, unit="µs", samples=tuple(samples), goal=GOAL if name in held else None)
        for name, samples in sides.items()
    ]
    return Result(
        name="networks",
        title="a question among many networks",
        figures=tuple(figures),
        notes=(
            *(f"{name}: {len(among):,} ranges after merging" for name, (among, _) in held.items()),
            "a client: from parsed header fields to address and place, the fields of others dropped; peers come again",
            f"slowest median among {NETWORKS:,}: {max(median(sides[name]) for name in held):.2f} µs",
        ),
    )


def _network_4(chance: random.Random) -> Network:
    length = chance.choice((16, 20, 22, 24, 24, 24, 28, 32))
    return ip_network((chance.getrandbits(32), length), strict=False)


def _network_6(chance: random.Random) -> Network:
    length = chance.choice((32, 48, 48, 56, 64))
    return ip_network((0x2 << 124 | chance.getrandbits(124), length), strict=False)


def _addresses(chance: random.Random, networks: Sequence[Network]) -> list[Address]:
    inside = [network[chance.randrange(network.num_addresses)] for network in chance.sample(networks, QUESTIONS // 2)]
    kind, bits = (IPv4Address, 32) if networks[0].version == 4 else (IPv6Address, 128)
    found = [*inside, *(kind(chance.getrandbits(bits)) for _ in range(QUESTIONS // 2))]
    chance.shuffle(found)
    return found


def _peers(chance: random.Random) -> list[tuple[str, ServerSettings, list[str]]]:
    """Settings by what they are called, and the peers that connect."""
    clients = [str(IPv4Address(chance.getrandbits(32))) for _ in range(QUESTIONS // 10)] * 10
    edges = [f"10.0.0.{1 + number % 50}" for number in range(QUESTIONS)]
    hop = HopSettings(
        networks=("10.0.0.0/8",),
        secret_header="X-Edge-Secret",
        secret=SECRET,
        address="CF-Connecting-IP",
        country="cloudflare",
    )
    return [
        ("a client, no proxies", ServerSettings(), clients),
        ("a client behind trusted_proxies", ServerSettings(trusted_proxies=("10.0.0.0/8",)), edges),
        ("a client behind a hop with a secret and a country", ServerSettings(hops={"edge": hop}), edges),
    ]


def _client(server: ServerSettings) -> Callable[[str], object]:
    peers = Peers(hops_of(server, authorities={}, keyring=Keyring([]), locate=None))
    told = {"x-forwarded-for": "198.51.100.7"} if server.trusted_proxies else {}
    if server.hops:
        told = {"x-edge-secret": SECRET, "cf-connecting-ip": "198.51.100.7", "cf-ipcountry": "SE"}
    fields = FIELDS | told

    def ask(peer: str) -> object:
        return peers.client(peer, "", {**fields}, method="GET", host="img.example.com", target="/a", now=0.0)

    return ask


def _microseconds(asked: Sequence[Asked], ask: Callable[[Asked], object]) -> float:
    """Of one question, over all that are asked about."""
    start = time.perf_counter()
    for one in asked:
        ask(one)
    return (time.perf_counter() - start) / len(asked) * 1e6
