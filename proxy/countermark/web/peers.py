"""Who is the client of a message: what a proved hop says, or else the peer itself, and nothing of what it claims."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import structlog
from msgspec import Struct

from countermark.configuration import read_authorities
from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.core.place import NOWHERE
from countermark.core.request import Address
from countermark.keys.keyring import Keyring
from countermark.settings.model import Settings
from countermark.web.country import COUNTRY_FIELDS
from countermark.web.forwarding import ADDRESS_FIELDS
from countermark.web.hops import Client, Hop, Locate, hops_of, socket_address
from countermark.web.proof import CERTIFICATE_FIELD, Message

# Seconds between two complaints: a secret that was changed on one side only must not fill the log.
COMPLAIN_EVERY = 10.0

_REMEMBERED = 4096
_CLAIMS = ADDRESS_FIELDS | COUNTRY_FIELDS | {CERTIFICATE_FIELD, "client-cert-chain"}
_CLAIMS_OF_STRANGERS = _CLAIMS | {"x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"}

log = structlog.get_logger("countermark.web")


class Standing(Struct, frozen=True):
    """What is known of a peer by its address: the hops that it may be, and the client that it is where it is none."""

    hops: tuple[Hop, ...]
    client: Client


class Peers:
    """Tells the client of each message, and takes from its header fields all that nobody proved."""

    def __init__(self, hops: Sequence[Hop], locate: Locate | None = None) -> None:
        self._hops = tuple(hops)
        self._locate = locate
        self._complained = float("-inf")
        fields = frozenset().union(*(hop.fields for hop in hops))
        secrets = frozenset(hop.secret_field for hop in hops)
        self._unproved = _CLAIMS_OF_STRANGERS | fields | secrets
        self._beside = {hop.name: (_CLAIMS | fields | secrets) - hop.fields for hop in hops}
        self._standing = lru_cache(_REMEMBERED)(self._look)

    def peer(self, peer: str) -> Client:
        """The peer itself, of whom nothing was read. Raises ValueError for what is no address of a socket."""
        return self._standing(peer, "").client

    def client(
        self, peer: str, announcer: str, headers: dict[str, str], *, method: str, host: str, target: str, now: float
    ) -> Client:
        """The client of a message, and `headers` without the fields that are not believed.

        `peer` is the socket's address, or the one that a PROXY header of the socket's address `announcer` gave. `host`
        and `target` are the message's own. Raises Malformed where a proved hop does not name one client.
        """
        standing = self._standing(peer, announcer)
        for hop in standing.hops:
            if not hop.proofs or hop.proved(Message(headers, method, host, target, now)):
                client = hop.client(peer, headers)
                _drop(headers, self._beside[hop.name])
                return client
        if standing.hops:
            self._complain(standing, now)
        # A client that claims to be somebody or somewhere else, or a proxy that does not prove itself (spoofing).
        _drop(headers, self._unproved)
        return standing.client

    def _look(self, peer: str, announcer: str) -> Standing:
        address = socket_address(peer)
        sender = socket_address(announcer) if announcer else None
        hops = [hop for hop in self._hops if _may_be(hop, sender if hop.announced else address)]
        place = self._locate(address) if self._locate is not None else NOWHERE
        return Standing(tuple(hops), Client(address, place, trusted=False))

    def _complain(self, standing: Standing, now: float) -> None:
        names = [hop.name for hop in standing.hops if hop.networks]
        if names and now - self._complained >= COMPLAIN_EVERY:
            self._complained = now
            log.warning("a peer did not prove that it is a hop", hops=names, peer=standing.client.text)


def open_peers(settings: Settings, keyring: Keyring) -> Peers:
    """The peers of a worker, as the settings and the files that they name tell. Raises ConfigurationInvalid.

    The keyring is handed over and not read: a worker asks no key management service for a sealed key.
    """
    locate = _locate(settings.geo.database) if settings.geo.database else None
    server = settings.server
    hops = hops_of(server, authorities=read_authorities(settings), keyring=keyring, locate=locate)
    return Peers(hops, locate)


def _locate(database: str) -> Locate:
    try:
        from countermark.backends.geo import open_geo
    except ModuleNotFoundError as error:
        if error.name != "maxminddb":
            raise
        message = "needs the package maxminddb; install countermark[geo]"
        raise ConfigurationInvalid([Fault(path="geo.database", message=message)]) from error
    return open_geo(database).locate


def _may_be(hop: Hop, address: Address | None) -> bool:
    return address is not None and hop.connects_from(address)


def _drop(headers: dict[str, str], fields: frozenset[str]) -> None:
    for name in fields.intersection(headers):  # goes through the few that came, not through all that are known
        del headers[name]
