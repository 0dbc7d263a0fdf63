"""The verifiers for a CDN's edge, under Node, against the house's own vectors."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from functools import partial
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
NOW = 1_700_000_000
ENV = {
    "COUNTERMARK_KEYS": json.dumps({"k1": base64url(bytes(range(32)))}),
    "COUNTERMARK_AUDIENCE": "shop",
    "COUNTERMARK_MAX_LIFE": str(WEEK),
}

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
const [urls, env, cf] = JSON.parse(process.argv[2]);
const statuses = [];
for (const url of urls) {
  const request = new Request(url);
  request.cf = cf ?? undefined;
  const answer = await worker.fetch(request, env);
  statuses.push([answer.status, answer.headers.get("Countermark-Reason") ?? ""]);
}
console.log(JSON.stringify([statuses, asked]));
"""

# CloudFront's module, with the store in place of the vendor's; the rest of its runtime is a part of Node's.
STORE = """
export let entries;
export function fill(value) { entries = value; }
export default { kvs: () => ({ get: async (key, options) => {
  if (options.format !== "json" || !(key in entries)) throw new Error("no such entry");
  return JSON.parse(entries[key]);
} }) };
"""

FUNCTION = """
import { readFileSync } from "node:fs";
const { handler } = await import(process.argv[1]);
const { fill } = await import(process.argv[2]);
const answers = [];
for (const { request, keys, ...site } of JSON.parse(readFileSync(0))) {
  fill(keys === null ? {} : { countermark: JSON.stringify({ ...site, keys }) });
  Date.now = () => request.now * 1000;
  const [path, query] = [request.target.split("?", 1)[0], request.target.split("?").slice(1).join("?")];
  answers.push(await handler({
    viewer: { ip: request.address },
    request: { method: request.method, uri: path, rawQueryString: () => query, headers: request.headers ?? {} },
  }));
}
console.log(JSON.stringify(answers));
"""

# What the edge's page says that it leaves to the gateway: these are refused though the gateway would say yes.
STORED = {"native/a-58-session", "native/a-59-session-longest", "native/a-96-once", "native/a-97-once-longest"}
STRICTER = {"native/a-6-ed25519", "native/a-10-network", "native/a-11-ipv6-network"} | STORED


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
            "country": vector.get("country", ""),
            "headers": {"cloudfront-viewer-country": {"value": vector["country"]}} if "country" in vector else {},
        },
        "audience": vector["config"]["audience"],
        "countries": True,
        "maxLife": key.get("max_life", WEEK),
        "keys": {key["id"]: key["material_b64url"]} if deployed else {},
    }


Judge = Callable[[list[dict[str, Any]]], list[int]]
"""Questions in, statuses out; 200 where the request may go on."""


def judged_by_native(questions: list[dict[str, Any]], folder: Path) -> list[int]:
    """By the verifier for Workers."""
    verdicts = node(JUDGE, str(EDGE / "native.mjs"), stdin=json.dumps(questions))
    return [verdict["status"] for verdict in verdicts]


def answers_of_function(questions: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """What the CloudFront Function returns, in a folder where its modules are found."""
    store = folder / "node_modules" / "cloudfront" / "index.mjs"
    store.parent.mkdir(parents=True, exist_ok=True)
    store.write_text(STORE)
    (store.parent / "package.json").write_text('{"name": "cloudfront", "exports": "./index.mjs"}')
    # CloudFront calls its function by name; a module must say that it gives it away.
    function = folder / "cloudfront.mjs"
    function.write_text((EDGE / "cloudfront.js").read_text() + "\nexport { handler };\n")
    answers: list[dict[str, Any]] = node(FUNCTION, str(function), str(store), stdin=json.dumps(questions))
    return answers


def judged_by_function(questions: list[dict[str, Any]], folder: Path) -> list[int]:
    """By the CloudFront Function."""
    return [answer.get("statusCode", 200) for answer in answers_of_function(questions, folder)]


@pytest.fixture(params=[judged_by_native, judged_by_function], ids=["worker", "cloudfront"])
def judge(request: pytest.FixtureRequest, tmp_path: Path) -> Judge:
    """Each of the verifiers."""
    return partial(request.param, folder=tmp_path)


def test_the_edge_agrees_with_every_vector(judge: Judge) -> None:
    """Accepts what the gateway accepts, but for what it says that it cannot judge; never more."""
    known = vectors()
    statuses = judge([question(vector) for vector in known])
    allowed = {vector["id"] for vector, status in zip(known, statuses, strict=True) if status == 200}
    accepted = {vector["id"] for vector in known if vector["expect"] == "accept"}
    assert allowed == accepted - STRICTER


def test_what_the_store_decides_is_sent_to_the_gateway(tmp_path: Path) -> None:
    """A reason of its own, so that whoever sees it knows that the URL is good and the route is wrong."""
    known = [question(vector) for vector in vectors() if vector["id"] in STORED]
    assert len(known) == len(STORED)
    verdicts = node(JUDGE, str(EDGE / "native.mjs"), stdin=json.dumps(known))
    assert {(verdict["status"], verdict["reason"]) for verdict in verdicts} == {(403, "ask_the_gateway")}
    answers = answers_of_function(known, tmp_path)
    reasons = {(answer["statusCode"], answer["headers"]["countermark-reason"]["value"]) for answer in answers}
    assert reasons == {(403, "ask_the_gateway")}


def test_a_viewer_does_not_choose_his_country(tmp_path: Path) -> None:
    """Where nobody says that CloudFront writes the field, the one that came is the viewer's own."""
    bound = next(question(vector) for vector in vectors() if vector["id"].endswith("-one-of-the-countries"))
    assert judged_by_function([bound, {**bound, "countries": False}], tmp_path) == [200, 403]


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
def test_the_edge_refuses_a_changed_url(judge: Judge, old: str, new: str) -> None:
    """Spellings, traversal, other keys and times; each of them is a refusal and none an exception."""
    good = question(vectors()[0])
    changed = {**good, "request": {**good["request"], "target": good["request"]["target"].replace(old, new, 1)}}
    assert changed != good
    first, second = judge([good, changed])
    assert first == 200
    assert second in (400, 401, 403, 410)


def minted(target: str, *, ends: int, **facts: str) -> str:
    """A URL of the house's own signer."""
    key = Key(id="k1", dialect="native", algorithm="hmac-sha256", material=bytes(range(32)))
    return mint_native(parse_target(target), audience="shop", key=key, expires=NOW + ends, facts=facts)


def asked(target: str, **headers: str) -> dict[str, Any]:
    """A signed URL as the function is asked about it, with header fields of the viewer's."""
    request = {"method": "GET", "target": target, "now": NOW, "address": "203.0.113.7"}
    request["headers"] = {name: {"value": value} for name, value in headers.items()}
    return {"request": request, "audience": "shop", "maxLife": WEEK, "keys": {"k1": base64url(bytes(range(32)))}}


def test_all_signatures_of_a_picture_have_one_cache_key(tmp_path: Path) -> None:
    """Whatever its end, who it is for and the order of its pairs; other operations and other pictures have others."""
    same = [
        minted("/shop/cat.jpg?w=3&fit=cover", ends=60),
        minted("/shop/cat.jpg?fit=cover&w=3", ends=900, iat=str(NOW), cid="app", uid="zoe", ctx="mail", jti="order-17"),
    ]
    others = [minted("/shop/cat.jpg?w=4&fit=cover", ends=60), minted("/shop/dog.jpg?w=3&fit=cover", ends=60)]
    answers = answers_of_function([asked(target) for target in (*same, *others)], tmp_path)
    keys = [answer["headers"]["countermark-cache-key"]["value"] for answer in answers]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert [answer["uri"] for answer in answers] == ["/shop/cat.jpg"] * 3 + ["/shop/dog.jpg"]


def test_a_viewer_does_not_choose_the_cache_key(tmp_path: Path) -> None:
    """Whoever could would have his picture kept in another one's place."""
    target = minted("/shop/cat.jpg?w=3", ends=60)
    mine, forced = answers_of_function([asked(target), asked(target, **{"countermark-cache-key": "a" * 64})], tmp_path)
    assert forced["headers"] == mine["headers"]


def test_without_its_keys_the_edge_passes_nothing_on(tmp_path: Path) -> None:
    """The store is empty or cannot be asked."""
    (answer,) = answers_of_function([{**asked(minted("/shop/cat.jpg?w=3", ends=60)), "keys": None}], tmp_path)
    assert answer["statusCode"] == 503
    assert answer["headers"]["cache-control"] == {"value": "no-store"}


def test_the_worker_passes_on_what_is_signed() -> None:
    """The viewer's own URL, for the gateway to verify again."""
    target = minted("/shop/a%20cat.jpg?w=3", ends=int(time.time()) - NOW + 600)
    url = f"https://img.example.com{target}"
    assert node(WORK, str(EDGE / "worker.mjs"), json.dumps([[url], ENV])) == [[[200, ""]], [url]]


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"country": "CH"}, [200, ""]),
        ({"country": "DE"}, [403, "country_mismatch"]),
        ({"country": "XX"}, [403, "country_mismatch"]),
        ({}, [403, "country_mismatch"]),
        (None, [403, "country_mismatch"]),
    ],
)
def test_the_worker_knows_the_country_from_its_runtime(facts: dict[str, str] | None, told: list[Any]) -> None:
    """XX says that nobody knows, whoever signed it; without the runtime's word no bound URL opens."""
    target = minted("/shop/cat.jpg?w=3", ends=int(time.time()) - NOW + 600, geo="CH.XX")
    arguments = json.dumps([[f"https://img.example.com{target}"], ENV, facts])
    statuses, _ = node(WORK, str(EDGE / "worker.mjs"), arguments)
    assert statuses == [told]


def test_the_worker_passes_on_nothing_that_it_refuses() -> None:
    """With the clock of today, at which the vectors have expired."""
    vector = vectors()[0]
    urls = [vector["url"], vector["url"].replace("cat", "dog"), "https://img.example.com/shop/cat.jpg"]
    statuses, asked = node(WORK, str(EDGE / "worker.mjs"), json.dumps([urls, ENV]))
    assert statuses == [[410, "expired"], [403, "signature_invalid"], [401, "signature_missing"]]
    assert asked == []
