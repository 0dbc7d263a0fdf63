"""What a signed URL proves: the operator pastes it, and only what the keyring (or a session's seed) has signed counts."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec import Struct

from countermark.control.fronts import Front, Fronts
from countermark.core.errors import CountermarkError, OrderInvalid, StoreUnavailable
from countermark.core.grant import Claims
from countermark.core.request import EdgeRequest
from countermark.core.target import Target, parse_target
from countermark.identity.seeds import open_seed, session_key
from countermark.identity.session import KEY_ID
from countermark.keys.keyring import Key, Keyring
from countermark.ports import Sessions
from countermark.signing.realm import waivers
from countermark.signing.verify import prove

_NOWHERE = ip_address("192.0.2.0")  # RFC 5737: `prove` looks at no address
_SIGNATURE = re.compile(r"[?#].*", re.DOTALL)


class Evidence(Struct, frozen=True, kw_only=True):
    """An authentic URL: whose site it is, and what it says. It may be over, or not open anything any more."""

    front: Front
    claims: Claims

    @property
    def url(self) -> str:
        """As viewers see it, without its query; "" where the settings do not say by which host."""
        base = self.front.realm.base_url
        return f"{base}{self.claims.path}" if base else ""


class Witness:
    """Proves URLs."""

    def __init__(self, *, fronts: Fronts, keyring: Keyring, sessions: Sessions) -> None:
        self._fronts = fronts
        self._keyring = keyring
        self._sessions = sessions

    async def prove(self, url: str, *, site: str = "", now: float) -> Evidence:
        """What an absolute URL, or a path with its query, was signed for.

        Raises OrderInvalid where it proves nothing, StoreUnavailable.
        """
        host, raw = _split(url)
        front = self._fronts.named(site) if site else self._fronts.find(host, _SIGNATURE.sub("", raw))
        try:
            target = parse_target(raw, waive=waivers(front.realm))
            keyring = await self._keyring_for(target, now)
            request = EdgeRequest(
                id="", method="GET", target=target, host=host, client=_NOWHERE, headers={}, received=now
            )
            return Evidence(front=front, claims=prove(request, front.realm, keyring).claims)
        except (OrderInvalid, StoreUnavailable):
            raise
        except CountermarkError as error:
            raise OrderInvalid(f"The URL proves nothing at site {front.name}: {error.detail}") from None

    async def _keyring_for(self, target: Target, now: float) -> Keyring:
        """The keyring, and the key of the session that the URL names as its signer."""
        named = next((pair.value for pair in target.pairs if pair.name == "kid"), "")
        match = KEY_ID.fullmatch(named)
        return self._keyring if match is None else Keyring((*self._keyring.keys, await self._key(named, match[1], now)))

    async def _key(self, key_id: str, session_id: str, now: float) -> Key:
        session = await self._sessions.read(session_id)
        if session is None:
            raise OrderInvalid("The URL was signed in a session that is not known; what it signed opens nothing.")
        if session.key_id != key_id:
            raise OrderInvalid("The URL was signed with a seed that a refresh has replaced; it opens nothing any more.")
        try:
            return session_key(session, open_seed(self._keyring, session, now=now))
        except ValueError:
            raise OrderInvalid("The seed of the URL's session cannot be unsealed; it opens nothing any more.") from None


def _split(url: str) -> tuple[str, str]:
    """Lower-case host without port ("" for a bare path), and the raw target."""
    if url.startswith("/"):
        return "", url
    try:
        parts = urlsplit(url)
    except ValueError:
        raise OrderInvalid("This is no URL.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OrderInvalid("The URL should be whole, https://HOST/PATH?QUERY, or a path with its query.")
    rest = url[len(parts.scheme) + 3 + len(parts.netloc) :]
    return parts.hostname, rest if rest.startswith("/") else f"/{rest}"
