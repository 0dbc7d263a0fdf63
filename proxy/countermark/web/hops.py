"""The proxies in front of us whose word counts: what each must show, and where it names its client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_network

from cryptography import x509

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.core.networks import NetworkSet
from countermark.core.place import NOWHERE, Place
from countermark.core.request import Address
from countermark.keys.keyring import Keyring
from countermark.settings.model import HopSettings, ServerSettings, SiteSettings
from countermark.signing.realm import realm_of
from countermark.web.address import parse_address
from countermark.web.country import country_source
from countermark.web.forwarding import client_behind
from countermark.web.proof import ClientCertificate, Message, MessageSigned, Proof, SharedSecret

Locate = Callable[[Address], Place]

_REMEMBERED = 4096


class Client:
    """An address with its text and place, and whether a proved hop of ours named it."""

    __slots__ = ("address", "place", "text", "trusted")

    def __init__(self, address: Address, place: Place, *, trusted: bool) -> None:
        self.address = address
        self.text = str(address)
        self.place = place
        self.trusted = trusted


class Hop:
    """A proxy or CDN in front.

    `fields` are the header fields, in lower case, that it is read by; `secret_field` is one that nobody else may see.
    `announced`: it sends the PROXY protocol, so that it is known by the socket's address and not by the client's.
    """

    def __init__(
        self, name: str, settings: HopSettings, *, proofs: Sequence[Proof] = (), locate: Locate | None = None
    ) -> None:
        self.name = name
        self.networks = network_set(settings.networks)
        self.proofs = tuple(proofs)
        self.secret_field = settings.secret_header.lower()
        self.announced = settings.address == "proxy-protocol"
        self._address = "" if self.announced else settings.address.lower()
        self._country = country_source(settings)
        self._ours = network_set((*settings.networks, *settings.through))
        self._count = settings.count
        self._locate = locate
        country, region = (self._country.country, self._country.region) if self._country else ("", "")
        self._names = (self._address, country, region)
        self.fields = frozenset(self._names) - {""}
        self._remembered = lru_cache(_REMEMBERED)(self._read)

    def connects_from(self, address: Address) -> bool:
        """Whether it may be this peer; one without networks may be any."""
        return not self.networks or address in self.networks

    def proved(self, message: Message) -> bool:
        """Whether the message shows all that it must."""
        return all(proof.holds(message) for proof in self.proofs)

    def client(self, peer: str, headers: Mapping[str, str]) -> Client:
        """Whom it names. Raises Malformed where that is not one client."""
        address, country, region = self._names
        get = headers.get
        return self._remembered(peer, get(address, ""), get(country, ""), get(region, ""))

    def _read(self, peer: str, named: str, country: str, region: str) -> Client:
        address = socket_address(peer)
        if self._address:
            address = client_behind(address, self._address, named, ours=self._ours, count=self._count)
        return Client(address, self._place(address, country, region), trusted=True)

    def _place(self, address: Address, country: str, region: str) -> Place:
        if self._country is not None:
            return self._country.read(country, region)
        return self._locate(address) if self._locate is not None else NOWHERE


def socket_address(text: str) -> Address:
    """The address of a socket. Raises ValueError for a text that is none."""
    address = parse_address(text)
    if address is None:
        raise ValueError(f"not an address of a socket: {text!r}")
    return address


def network_set(networks: Sequence[str]) -> NetworkSet:
    """The networks of a setting, checked already."""
    return NetworkSet(ip_network(text) for text in networks)


def announcers(networks: Sequence[str]) -> Callable[[str], bool] | None:
    """Whether connections from an address begin with a PROXY header; None where nobody's do."""
    senders = network_set(networks)
    return (lambda peer: socket_address(peer) in senders) if networks else None


def hops_of(
    server: ServerSettings, *, authorities: Mapping[str, bytes], keyring: Keyring, locate: Locate | None
) -> tuple[Hop, ...]:
    """The hops of the settings; `trusted_proxies` is the short form of one. `authorities` are PEM files by hop.

    Raises ConfigurationInvalid for a file that holds no certificate, and where no key opens a hop that signs.
    """
    if server.trusted_proxies:
        short = HopSettings(
            networks=server.trusted_proxies,
            country="header" if server.country_header else "auto",
            country_header=server.country_header,
        )
        return (Hop("trusted_proxies", short, locate=locate),)
    faults: list[Fault] = []
    hops = []
    for name, settings in server.hops.items():
        try:
            proofs = _proofs(name, settings, authorities, keyring)
        except ConfigurationInvalid as invalid:
            faults += invalid.faults
            continue
        hops.append(Hop(name, settings, proofs=proofs, locate=locate))
    if faults:
        raise ConfigurationInvalid(faults)
    return tuple(hops)


def _proofs(name: str, hop: HopSettings, authorities: Mapping[str, bytes], keyring: Keyring) -> list[Proof]:
    """What it must show, what is cheapest to look at first."""
    proofs: list[Proof] = []
    if hop.secret:
        proofs.append(SharedSecret(hop.secret_header, filter(None, (hop.secret, hop.next_secret))))
    if hop.client_certificates:
        proofs.append(ClientCertificate(hop.client_certificates))
    if hop.client_authorities:
        proofs.append(ClientCertificate(authorities=_certificates(name, authorities[name])))
    if hop.signed:
        proofs.append(_signature(name, hop, keyring))
    return proofs


def _certificates(name: str, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        message = "holds no certificates in PEM form"
        raise ConfigurationInvalid([Fault(path=f"server.hops.{name}.client_authorities", message=message)]) from None


def _signature(name: str, hop: HopSettings, keyring: Keyring) -> MessageSigned:
    if not keyring.candidates("rfc9421", name):
        message = f"no key of dialect rfc9421 opens {name!r}, so that it could never prove itself; see `sites` of a key"
        raise ConfigurationInvalid([Fault(path=f"server.hops.{name}.signed", message=message)])
    options: dict[str, str | tuple[str, ...]] = {"tag": hop.signature_tag, "fields": tuple(Hop(name, hop).fields)}
    site = SiteSettings(name=name, origin="", accept=("rfc9421",), dialects={"rfc9421": options})
    return MessageSigned(realm_of(site), keyring)
