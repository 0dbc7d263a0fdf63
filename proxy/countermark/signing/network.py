"""Client addresses and networks as signed facts write them."""

from __future__ import annotations

import re
from ipaddress import ip_network

from countermark.core.errors import ParameterInvalid
from countermark.core.grant import Network

_FOREIGN = re.compile(r"%|^::ffff:")


def read_network(name: str, text: str) -> Network:
    """An address or a network in its canonical text, or ParameterInvalid."""
    try:
        network = ip_network(text)
    except ValueError:
        network = None
    # Only the canonical text: no host bits, no zone, no leading zeros, no IPv4 dressed as IPv6.
    if network is None or text not in (str(network), str(network.network_address)) or _FOREIGN.search(text):
        raise ParameterInvalid(
            f"{name} must be an address or a network in its usual short form, such as 203.0.113.0/24."
        )
    return network


def write_network(network: Network) -> str:
    """The text that `read_network` takes: the address alone where it is only one."""
    return str(network.network_address if network.num_addresses == 1 else network)
