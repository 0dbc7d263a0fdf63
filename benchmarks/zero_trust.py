"""A gateway that asks everything of whoever comes: policy, place, networks, client, session, ceilings, revocations."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from benchmarks import gateway
from countermark.backends.stores.table import open_store
from countermark.identity.revocation import Revocation
from countermark.identity.session import Session

CLIENT = "acme"
SESSION = "s" * 22
REVOKED = 1000

# What the CDN in front says of its client. Both sides of a comparison are sent it.
FIELDS = {"CF-Connecting-IP": "198.51.100.7", "CF-IPCountry": "SE"}
HOPS = {"edge": {"networks": ["127.0.0.0/8"], "address": "CF-Connecting-IP", "country": "cloudflare"}}

POLICY = """\
template: bench
require: [client, session, user, jti, geo, address]
refuse_weak: [md5, sha1, truncated]
expires: { ttl: 12h, session_end: true }
transforms: { max_width: 2000, forbid: [blur] }
geo: { allow: [AT, CH, DE, SE, US-CA], deny: [KP] }
network: { allow: [198.51.100.0/24, 203.0.113.0/24, "2001:db8::/32"], deny: [198.51.100.128/25], bind: prefix }
ceiling:
  client: { requests: 100000000, per: 24h }
  session: { requests: 100000000, per: 24h }
  address: { requests: 100000000, per: 24h }
respond: { headers: [template, grant, expires, client] }
"""
CLIENTS = f"""\
{CLIENT}:
  networks: [198.51.100.0/24, "2001:db8::/32"]
  scope: {{ paths: [small, small.jpg] }}
"""
SITE = {"policy": "bench"}


def sections(store: str) -> dict[str, object]:
    """The settings, beside the files that `furnish` writes."""
    return {"store": store, "clients": "clients.yaml", "policies": "policies"}


def furnish(folder: Path, store: str) -> None:
    """Policies and clients, a session in the store, and a list of revocations that are others'."""
    (folder / "policies").mkdir()
    (folder / "policies" / "bench.yaml").write_text(POLICY)
    (folder / "clients.yaml").write_text(CLIENTS)
    asyncio.run(_fill(store))


async def _fill(url: str) -> None:
    store = await open_store(url)
    now = time.time()
    await store.sessions.create(
        Session(
            id=SESSION,
            generation=1,
            sealed=b"sealed",
            site="bench",
            user="alice",
            client_id=CLIENT,
            created=now,
            expires=int(now) + gateway.LIFE,
        )
    )
    await store.revocations.append(
        [Revocation(kind="grant", value=f"{number:064x}", created=now) for number in range(REVOKED)]
    )
    await store.close()


def target(gate: gateway.Gateway, key: str, query: str, *, number: int = 0) -> str:
    """A URL that is signed for one user, session, client, country and network."""
    facts = {"sid": SESSION, "cid": CLIENT, "uid": "alice", "jti": f"ticket-{number:06}", "geo": "DE.SE"}
    return gate.target(key, query, address="198.51.100.0/24", facts=facts)
