"""The verifier for a CDN's edge, under Node, against the house's own vectors."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from benchmarks.setting import tool

from countermark.core.encoding import base64url
from countermark.core.target import parse_target
from countermark.keys.keyring import Key
from countermark.signing.native import mint_native

ROOT = Path(__file__).parents[2]
EDGE = ROOT / "deploy" / "edge"
WEEK = 7 * 86_400

JUDGE = """
import { readFileSync } from "node:fs";
const { importKeys, verify } = await import(process.argv[1]);
const verdicts = [];
for (const { request, keys, ...site } of JSON.parse(readFileSync(0))) {
  verdicts.push(await verify(request, { ...site, keys: await importKeys(keys) }));
}
console.log(JSON.stringify(verdicts));
"""

WORK = """
const asked = [];
globalThis.fetch = async (request) => { asked.push(request.url); return new Response("picture"); };
const worker = (await import(process.argv[1])).default;
const [urls, env] = JSON.parse(process.argv[2]);
const statuses = [];
for (const url of urls) {
  const answer = await worker.fetch(new Request(url), env);
  statuses.push([answer.status, answer.headers.get("Countermark-Reason") ?? ""]);
}
console.log(JSON.stringify([statuses, asked]));
"""

# What the edge's page says that it leaves to the gateway: these are refused though the gateway would say yes.
STRICTER = {"native/a-6-ed25519", "native/a-10-network", "native/a-11-ipv6-network"}


def node(script: str, *arguments: str, stdin: str = "") -> Any:
    """What a script prints, read as JSON."""
    program = tool("node")
    if program is None:
        pytest.skip("node is not installed")
    command = [program, "--input-type=module", "-e", script, "--", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def vectors() -> list[dict[str, Any]]:
    """The native vectors."""
    found: list[dict[str, Any]] = json.loads((ROOT / "tests" / "vectors" / "native.json").read_text())["vectors"]
    return found


def question(vector: dict[str, Any]) -> dict[str, Any]:
    """A vector as the edge is asked about it. Only keys that it can use, in a state that verifies, are deployed there."""
    url, key = urlsplit(vector["url"]), vector["config"]["key"]
    deployed = key["algorithm"] == "hmac-sha256" and key.get("state", "active") in ("active", "retiring")
    return {
        "request": {
            "method": vector["method"],
            "target": vector["url"].removeprefix(f"{url.scheme}://{url.netloc}"),
            "now": vector["now"],
            "address": vector.get("client_ip", ""),
        },
        "audience": vector["config"]["audience"],
        "maxLife": key.get("max_life", WEEK),
        "keys": {key["id"]: key["material_b64url"]} if deployed else {},
    }


def test_the_edge_agrees_with_every_vector() -> None:
    """Accepts what the gateway accepts, but for what it says that it cannot judge; never more."""
    known = vectors()
    verdicts = node(JUDGE, str(EDGE / "native.mjs"), stdin=json.dumps([question(vector) for vector in known]))
    allowed = {vector["id"] for vector, verdict in zip(known, verdicts, strict=True) if verdict["allowed"]}
    accepted = {vector["id"] for vector in known if vector["expect"] == "accept"}
    assert allowed == accepted - STRICTER


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/shop/", "//shop/"),
        ("/shop/", "/shop/./"),
        ("/shop/", "/x/%2e%2E/shop/"),
        ("/shop/", "/shop%2F"),
        ("/shop/", "/shop%00/"),
        ("cat", "%63at"),
        ("cat", "dog"),
        ("&kid=k1", ""),
        ("&kid=k1", "&kid=__proto__"),
        ("?", "?&"),
        ("sig=", "sig=&sig="),
        ("exp=17", "exp=27"),
        ("exp=1", "exp=+1"),
    ],
)
def test_the_edge_refuses_a_changed_url(old: str, new: str) -> None:
    """Spellings, traversal, other keys and times; each of them is a refusal and none an exception."""
    good = question(vectors()[0])
    changed = {**good, "request": {**good["request"], "target": good["request"]["target"].replace(old, new, 1)}}
    assert changed != good
    first, second = node(JUDGE, str(EDGE / "native.mjs"), stdin=json.dumps([good, changed]))
    assert (first["allowed"], second["allowed"]) == (True, False)
    assert second["status"] in (400, 401, 403, 410)


def test_the_worker_passes_on_what_is_signed() -> None:
    """The viewer's own URL, for the gateway to verify again."""
    secret = bytes(range(32))
    key = Key(id="k1", dialect="native", algorithm="hmac-sha256", material=secret)
    target = mint_native(
        parse_target("/shop/a%20cat.jpg?w=3"), audience="shop", key=key, expires=int(time.time()) + 600
    )
    env = {
        "COUNTERMARK_KEYS": json.dumps({"k1": base64url(secret)}),
        "COUNTERMARK_AUDIENCE": "shop",
        "COUNTERMARK_MAX_LIFE": str(WEEK),
    }
    url = f"https://img.example.com{target}"
    assert node(WORK, str(EDGE / "worker.mjs"), json.dumps([[url], env])) == [[[200, ""]], [url]]


def test_the_worker_passes_on_nothing_that_it_refuses() -> None:
    """With the clock of today, at which the vectors have expired."""
    vector = vectors()[0]
    env = {
        "COUNTERMARK_KEYS": json.dumps({"k1": vector["config"]["key"]["material_b64url"]}),
        "COUNTERMARK_AUDIENCE": "shop",
        "COUNTERMARK_MAX_LIFE": str(WEEK),
    }
    urls = [vector["url"], vector["url"].replace("cat", "dog"), "https://img.example.com/shop/cat.jpg"]
    statuses, asked = node(WORK, str(EDGE / "worker.mjs"), json.dumps([urls, env]))
    assert statuses == [[410, "expired"], [403, "signature_invalid"], [401, "signature_missing"]]
    assert asked == []
