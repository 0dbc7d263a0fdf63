"""What works and weakens: said when the gateway starts and by `countermark check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from countermark.keys.keyring import HASHES, MACS, MD5, SHA1, Key, Keyring
from countermark.settings.model import SiteSettings
from countermark.signing.realm import realm_of
from countermark.signing.table import DIALECTS

_GUESSABLE = 16

Name = Literal["legacy_hash", "weak_secret", "unsafe_option", "no_key", "no_sites", "unexamined", "policy"]


class Caution(Struct, frozen=True, kw_only=True):
    """One weakness. Programs go by `name`, which stays as it is; `message` is for people."""

    name: Name
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


def cautions(sites: Sequence[SiteSettings], keyring: Keyring) -> list[Caution]:
    """All weaknesses of what sites and keys say. Sites and keys must be right by themselves."""
    none = Caution(name="no_sites", message="there are no sites; every request will be answered with 404")
    return [
        *([] if sites else [none]),
        *(found for key in keyring.keys if key.state != "revoked" for found in _of_key(key)),
        *(found for site in sites for found in _of_site(site, keyring)),
    ]


def _of_key(key: Key) -> Iterator[Caution]:
    if key.algorithm in MD5 or key.algorithm in SHA1:
        broken = "MD5" if key.algorithm in MD5 else "SHA-1"
        message = f"key {key.id} ({key.dialect}) signs with {broken}; let nobody choose what it signs, and move on"
        yield Caution(name="legacy_hash", message=message)
    shared = key.algorithm in HASHES or key.algorithm in MACS
    if shared and len(key.material) < _GUESSABLE:
        yield Caution(name="weak_secret", message=f"key {key.id}: fewer than {_GUESSABLE} characters can be guessed")


def _of_site(site: SiteSettings, keyring: Keyring) -> Iterator[Caution]:
    realm = realm_of(site)
    for name in realm.options:
        if not keyring.candidates(name, site.name):
            message = f"site {site.name} accepts {name}, and no key of the keyring opens it"
            yield Caution(name="no_key", message=message)
        for option in DIALECTS[name].options:
            if option.unsafe and site.dialects.get(name, {}).get(option.name) and realm.option(name, option.name):
                message = f"site {site.name}, {name}.{option.name}: {option.sentence}"
                yield Caution(name="unsafe_option", message=message)
