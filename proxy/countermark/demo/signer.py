"""Signing for the demo, from the very files that its gateway reads."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path

from countermark.configuration import read_keyring, read_settings
from countermark.core.encoding import read_base64url
from countermark.core.target import parse_target
from countermark.imaging.presets import read_presets
from countermark.keys.keyring import Key
from countermark.signing.dialect import MintOrder
from countermark.signing.keycdn import mint_keycdn_access, mint_keycdn_image
from countermark.signing.native import mint_native
from countermark.signing.realm import realm_of
from countermark.signing.table import DIALECTS


class DemoSigner:
    """Signs with the demo's keys. All URLs of one signer count from the moment at which it was made."""

    def __init__(self, settings_file: Path) -> None:
        settings = read_settings(settings_file)
        self._keys = {key.id: key for key in read_keyring(settings).keys}
        self._realms = [realm_of(site) for site in settings.sites]
        self._presets = read_presets(settings.presets)
        self._now = int(time.time())

    def native(
        self,
        target: str,
        *,
        key: str = "demo-hmac",
        starts: int = 0,
        ends: int = 3600,
        ip: str = "",
        facts: Mapping[str, str] = {},
    ) -> str:
        """A native URL; `starts` and `ends` are seconds from now. The audience is the site, the path's first segment."""
        return mint_native(
            parse_target(target),
            audience=target.split("/")[1],
            key=self._keys[key],
            expires=self._now + ends,
            not_before=self._now + starts if starts else None,
            address=ip_network(ip) if ip else None,
            facts=facts,
        )

    def session(self, target: str, opened: Mapping[str, object]) -> str:
        """A native URL for five minutes, signed as a client does it in its session, with nothing but what login gave it."""
        seed = read_base64url(str(opened["seed"]))
        assert seed is not None
        return mint_native(
            parse_target(target),
            audience=str(opened["audience"]),
            key=Key(id=str(opened["key_id"]), dialect="native", algorithm="hmac-sha256", material=seed),
            expires=self._now + 300,
        )

    def preset(self, path: str, preset: str) -> str:
        """A native URL of a preset, with its transform hash."""
        return self.native(f"{path}?preset={preset}&th={self._presets[preset].hash}")

    def vendor(self, target: str, *, key: str, ends: int = 600, now: int = 0, **extras: str) -> str:
        """A URL of the dialect that this key belongs to, made `now` and valid until `ends`, in seconds from now."""
        own = self._keys[key]
        realm = next(realm for realm in self._realms if own.dialect in realm.dialects)
        order = MintOrder(
            now=self._now + now,
            expires=self._now + ends,
            address=ip_address("127.0.0.1") if own.dialect == "retail_digitals" else None,
            extras=extras,
            nonce=secrets.token_urlsafe(16),
        )
        return DIALECTS[own.dialect].mint(parse_target(target), realm, own, order)

    def keycdn_image(self, target: str) -> str:
        """A KeyCDN image-processing URL."""
        return mint_keycdn_image(parse_target(target), key=self._keys["demo-keycdn-image"])

    def keycdn_access(self, path: str, *, ends: int = 3600) -> str:
        """A KeyCDN access-control URL; `ends` in seconds from now."""
        return mint_keycdn_access(parse_target(path), key=self._keys["demo-keycdn-access"], expires=self._now + ends)
