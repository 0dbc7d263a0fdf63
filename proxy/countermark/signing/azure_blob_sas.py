"""Azure Blob Storage service SAS of one blob (learn.microsoft.com/rest/api/storageservices/create-service-sas).

    {path}?sv={version}&sr=b&sp=r&se={end}&sig={base64}       and st, sip, spr, rsct

Signed are sixteen lines: permissions, start, end, `/blob/{account}{path}`, identifier, address, protocol, version, resource,
snapshot, encryption scope and five response headers. That is the layout of the versions from 2020-12-06 on. The path is signed
decoded, and the rest of the query is not signed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, summarize_address_range
from urllib.parse import quote

from countermark.core.encoding import base64, read_base64
from countermark.core.errors import ParameterInvalid, ParameterUnknown, SignatureInvalid, TargetMalformed
from countermark.core.request import Address, EdgeRequest
from countermark.core.target import Pair, Target
from countermark.keys.keyring import Key
from countermark.settings.option import Option
from countermark.signing.dialect import (
    Capabilities,
    Denial,
    MintOrder,
    Presented,
    Realm,
    refuse_reserved,
    refuse_unfillable,
)
from countermark.signing.primitives import holds, sign
from countermark.signing.spelling import CANONICAL_QUERY, decoded_path
from countermark.signing.tail import joined

OLDEST, NEWEST = "2020-12-06", "2026-10-06"
"""Versions whose layout is known; a later one is refused until it is."""

_READ = frozenset({"sv", "sr", "sp", "st", "se", "sip", "spr", "rsct", "sig"})
_REQUIRED = frozenset({"sv", "sr", "sp", "se", "sig"})
_REFUSED = frozenset(
    {"si", "snapshot", "ses", "rscc", "rscd", "rsce", "rscl", "ss", "srt", "skoid", "sktid", "skt", "ske", "sks", "skv"}
    | {"saoid", "suoid", "scid", "sdd", "sduoid", "skdutid"}
)
_LINES = (
    "sp",
    "st",
    "se",
    "",
    "si",
    "sip",
    "spr",
    "sv",
    "sr",
    "snapshot",
    "ses",
    "rscc",
    "rscd",
    "rsce",
    "rscl",
    "rsct",
)
_VERSION = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]", re.ASCII)
_PERMISSIONS = re.compile(r"r[a-z]{0,15}", re.ASCII)
_IMAGE = re.compile(r"image/[a-z0-9.+-]{1,64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?Z)?", re.ASCII)
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_ACCOUNT_NAME = "the name of a storage account: 3 to 24 small letters and digits"
_MAC_BYTES = 32


def _check_account(name: str) -> None:
    if not _ACCOUNT.fullmatch(name):
        raise ValueError(_ACCOUNT_NAME)


class AzureBlobSAS:
    """Reads the SAS of a blob."""

    name = "azure_blob_sas"
    syntax = "native"
    reserved = _READ | _REFUSED
    denials: Mapping[str, Denial] = {
        "signature_missing": Denial(status=403),
        "signature_invalid": Denial(status=403),
        "expired": Denial(status=403),
    }
    options: tuple[Option, ...] = (
        Option(
            name="account",
            kind="str",
            default="",
            sentence="The storage account, which is signed.",
            check=_check_account,
            required=True,
            words=_ACCOUNT_NAME,
        ),
        Option(
            name="unsafe_unsigned_operations",
            kind="bool",
            default=False,
            sentence="The query is not signed, and anybody may choose operations there.",
        ),
    )
    capabilities = Capabilities(
        title="Azure Blob Storage, service SAS",
        page="azure_blob_sas",
        source="https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas",
        algorithms=("hmac-sha256",),
        signs_path=True,
        signs_query=False,
        signs_host=True,  # by way of the account
        signs_method=True,  # by way of the permissions
        expiry=True,
        address=True,
        prefix=False,
        key_ids=False,
        binds=frozenset({"not_before"}),
        forms=("base64_secret", "secret"),
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        target = request.target
        values = {pair.name: pair.value for pair in target.pairs if pair.name in self.reserved}
        if "sig" not in values:
            return None
        _refuse_unreadable(values)
        _hold_the_spelling(target)
        _hold_the_protocol(values, realm)
        others = tuple([pair for pair in target.pairs if pair.name not in self.reserved])
        if others and not realm.flag(self.name, "unsafe_unsigned_operations"):
            raise ParameterUnknown("A SAS does not sign the query, so the URL must not have other parameters.")
        ranges = _ranges(values["sip"]) if "sip" in values else ()
        return Presented(
            signature=_signature(values["sig"]),
            key_id="",
            path=target.path,
            pairs=others,
            message=_message(values, target.path, _account(realm.text(self.name, "account"))),
            not_before=_time("st", values["st"]) if "st" in values else None,
            expires=_time("se", values["se"]),
            exclusive_expiry=True,
            address=_range_of(request.client, ranges),
            # Of several networks the claims name the client's, so they are not to be remembered for others.
            from_headers=len(ranges) > 1,
            confidence=frozenset({"query-unsigned"}),
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        return key.algorithm == "hmac-sha256" and holds(key, presented.message, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        lines = zip(_LINES, presented.message.decode().split("\n"), strict=True)
        return tuple((name or "resource", text) for name, text in lines if text)

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        refuse_unfillable(self.name, order, takes=frozenset({"not_before", "address"}))
        refuse_reserved(target, self.reserved)
        facts = {"sv": NEWEST, "sr": "b", "sp": "r"}
        if order.not_before is not None:
            facts["st"] = _written(order.not_before)
        facts["se"] = _written(order.expires)
        if order.address is not None:
            if not isinstance(order.address, IPv4Address):
                raise ParameterInvalid("A SAS is bound to one IPv4 address.")
            facts["sip"] = str(order.address)
        message = _message(facts, target.path, _account(realm.text(self.name, "account")))
        facts["sig"] = base64(sign(key, message))
        written = (Pair(name, value, f"{name}={quote(value, safe='')}") for name, value in facts.items())
        return joined(target.path, (*target.pairs, *written))


def _refuse_unreadable(values: Mapping[str, str]) -> None:
    unknown = sorted(values.keys() & _REFUSED)
    if unknown:
        # A stored policy, a snapshot or a delegated key holds limits that only the account knows.
        raise ParameterInvalid(f"Only the service SAS of a blob is taken, without {', '.join(unknown)}.")
    if not values.keys() >= _REQUIRED:
        raise ParameterInvalid(f"A SAS has all of {', '.join(sorted(_REQUIRED))}.")
    if not _VERSION.fullmatch(values["sv"]) or not OLDEST <= values["sv"] <= NEWEST:
        raise ParameterInvalid(f"sv must be a version from {OLDEST} to {NEWEST}.")
    if values["sr"] != "b" or not _PERMISSIONS.fullmatch(values["sp"]):
        raise ParameterInvalid("sr must be b and sp must start with r: one blob, to read.")
    # Another type than a picture's would turn a picture into a page of this host.
    if "rsct" in values and not _IMAGE.fullmatch(values["rsct"]):
        raise ParameterInvalid("rsct must be the type of a picture.")


def _hold_the_spelling(target: Target) -> None:
    """Clients write / and : escaped or not; every other spelling would be one more URL of the same signature."""
    written = "&".join([pair.raw for pair in target.pairs if pair.name in _READ])
    if not CANONICAL_QUERY.fullmatch(written.replace("/", "%2F").replace(":", "%3A")):
        raise TargetMalformed("Escape in a SAS only what must be escaped, in upper case.", rule="query-spelling")


def _hold_the_protocol(values: Mapping[str, str], realm: Realm) -> None:
    protocol = values.get("spr", "https,http")
    if protocol not in ("https", "https,http"):
        raise ParameterInvalid("spr must be https or https,http.")
    if protocol == "https" and not realm.base_url.startswith("https://"):
        raise SignatureInvalid(
            "The signature does not belong to this URL.",
            private=f"spr is https, and sites.{realm.site}.base_url does not say that viewers use it",
        )


def _account(name: str) -> str:
    if not _ACCOUNT.fullmatch(name):
        raise SignatureInvalid(
            "The signature does not belong to this URL.", private="the option account of azure_blob_sas is not set"
        )
    return name


def _message(values: Mapping[str, str], path: str, account: str) -> bytes:
    resource = f"/blob/{account}{decoded_path(path)}"
    return "\n".join([values.get(name, "") if name else resource for name in _LINES]).encode()


def _time(name: str, text: str) -> int:
    try:
        if _TIME.fullmatch(text):
            return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except ValueError:
        pass
    raise ParameterInvalid(f"{name} must be a time such as 2026-11-22T06:30:00Z.")


def _written(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ranges(text: str) -> tuple[IPv4Network, ...]:
    first, dash, last = text.partition("-")
    try:
        if not dash:
            return (IPv4Network(IPv4Address(first)),)
        return tuple(summarize_address_range(IPv4Address(first), IPv4Address(last)))
    except ValueError:
        raise ParameterInvalid("sip must be an IPv4 address or a range of them.") from None


def _range_of(client: Address, ranges: tuple[IPv4Network, ...]) -> IPv4Network | None:
    """The network that the client is in; else the first, which refuses him once the signature is known to hold."""
    if not ranges:
        return None
    return next((network for network in ranges if client in network), ranges[0])


def _signature(text: str) -> bytes:
    signature = read_base64(text)
    if signature is None or len(signature) != _MAC_BYTES:
        raise SignatureInvalid("sig must be 44 characters of base64 with padding.")
    return signature
