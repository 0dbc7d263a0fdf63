"""The samples of deploy/forward-auth, in the servers that they are for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import pyvips
from benchmarks.measures.forward_auth import hits, missing, tampered, views

from benchmarks import forwarding, gateway, load
from tests.system.conftest import until
from tests.system.proxies import SAMPLES, Front, program, running

NAMES = ("nginx", *SAMPLES)
PICTURES = 5
VIEWS = 300


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    body = pyvips.Image.black(320, 200, bands=3).jpegsave_buffer()
    for name in ["cat.jpg", "a cat.jpg", *(f"{number}.jpg" for number in range(PICTURES))]:
        (folder / name).write_bytes(body)
    return folder


@pytest.fixture(scope="module", params=NAMES)
def front(request: pytest.FixtureRequest, originals: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    name = request.param
    needed = SAMPLES[name].program if name in SAMPLES else name
    if program(needed) is None:
        pytest.skip(f"{needed} is not installed")
    with running(name, tmp_path_factory.mktemp(name), originals) as front:
        yield front


@pytest.fixture
def caching(front: Front) -> Front:
    if not front.caches:
        pytest.skip("this proxy keeps no pictures")
    return front


def test_a_signed_picture_is_shown(front: Front) -> None:
    """GET and HEAD, with and without escapes in the path: the target that is verified is the one that is asked for."""
    for key in ("cat.jpg", "a%20cat.jpg"):
        target = front.gate.target(key, "w=100")
        status, fields, body = front.get(target)
        assert status == 200, body
        assert fields["content-type"] == "image/jpeg" if front.caches else json.loads(body)["target"] == target
        assert front.get(target, method="HEAD")[0] == 200


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        (("w=100", "w=101"), 403, "signature_invalid"),
        (("cat", "dog"), 403, "signature_invalid"),
        (("sig=", "gis="), 401, "signature_missing"),
        (("/cat.jpg", "/x%2fcat.jpg"), 400, "target_malformed"),
    ],
)
def test_a_url_that_was_changed_is_refused(front: Front, change: tuple[str, str], status: int, reason: str) -> None:
    """With the status and the reason that the gateway itself would give, unless the proxy refuses it unasked."""
    good = front.gate.target("cat.jpg", "w=100")
    assert front.get(good)[0] == 200
    got, fields, _ = front.get(good.replace(*change))
    # Traefik refuses encoded slashes by itself.
    assert got == status
    assert fields.get("countermark-reason", reason) == reason


def test_what_is_verified_is_what_is_shown(front: Front) -> None:
    """A path that some proxies repair: refused, or repaired for the gateway and the server behind alike."""
    good = front.gate.target("cat.jpg", "w=100")
    for other in (good.replace("/cat", "//cat"), good.replace("/cat", "/./cat"), good.replace("/cat", "/x/../cat")):
        status, _, body = front.get(other)
        assert status == 400 or (not front.caches and json.loads(body)["target"] == good)


def test_an_expired_url_is_refused_though_its_picture_is_kept(front: Front) -> None:
    """410, as of the gateway itself."""
    assert front.get(front.gate.target("cat.jpg", "w=102"))[0] == 200
    status, fields, _ = front.get(front.gate.target("cat.jpg", "w=102", expires=int(time.time()) - 5))
    assert (status, fields["countermark-reason"]) == (410, "expired")


def test_what_a_viewer_says_of_himself_counts_for_nothing(front: Front) -> None:
    """Another target, method, address or cache key in the fields that the proxy uses."""
    good, other = front.gate.target("cat.jpg", "w=103"), tampered(front.gate.target("cat.jpg", "w=200"))
    _, fields, _ = front.get(good)
    forged = {
        "X-Original-URI": good,
        "X-Forwarded-Uri": good,
        "X-Original-Method": "GET",
        "X-Forwarded-Method": "GET",
        "Countermark-Cache-Key": "0" * 64,
        "X-HTTP-Method-Override": "GET",
    }
    assert front.get(other, forged)[0] == 403
    assert front.get(good, {"X-Original-URI": other, "X-Forwarded-Uri": other})[0] == 200
    assert front.get(good, forged, method="POST")[0] in (400, 403, 405)
    assert front.get(good, forged, method="OPTIONS")[0] in (400, 403, 405)


def test_the_viewers_address_is_the_one_that_the_proxy_sees(front: Front) -> None:
    """A URL that is bound to an address opens for it, and for nobody who claims it."""
    assert front.get(front.gate.target("cat.jpg", "w=104", address="127.0.0.1"))[0] == 200
    elsewhere = front.gate.target("cat.jpg", "w=104", address="203.0.113.7")
    claims = {"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
    for fields in ({}, claims):
        status, told, _ = front.get(elsewhere, fields)
        assert (status, told["countermark-reason"]) == (403, "address_mismatch")


def test_the_server_behind_hears_the_key_and_never_a_forged_one(front: Front) -> None:
    """For caches and stores that stand behind a proxy which keeps nothing itself."""
    if front.caches:
        pytest.skip("the gateway itself stands behind this proxy")
    forged = {"Countermark-Cache-Key": "0" * 64, "Countermark-Site": "else", "Countermark-Client": "eve"}
    heard = [
        json.loads(front.get(front.gate.target("cat.jpg", "w=105", expires=int(time.time()) + life), forged)[2])
        for life in (60, 90)
    ]
    keys = {told["countermark-cache-key"] for told in heard}
    assert len(keys) == 1
    assert keys != {"0" * 64}
    assert {told["countermark-site"] for told in heard} == {"bench"}
    # These URLs have no client: what says otherwise is the viewer's own word.
    assert {told.get("countermark-client", "") for told in heard} == {""}


def test_every_signature_of_a_picture_finds_the_same_copy(caching: Front) -> None:
    """The gateway is asked for it once; each viewer may keep it as long as his own permission lasts."""
    before, now = caching.served(), int(time.time())
    for life in (3000, 2000, 1000):
        status, fields, body = caching.get(caching.gate.target("cat.jpg", "w=106", expires=now + life))
        assert (status, len(body) > 100) == (200, True)
        seconds = int(fields["cache-control"].removeprefix("public, max-age=").removesuffix(", must-revalidate"))
        assert life - 100 < seconds < life
    assert caching.served() - before == 1


def test_other_formats_are_other_copies(caching: Front) -> None:
    """Accept decides what fm=auto means, and the key knows it; two spellings of one Accept share a copy."""
    target, before = caching.gate.target("cat.jpg", "w=107&fm=auto"), caching.served()
    accepts = ("image/webp", "image/webp,*/*;q=0.8", "image/avif,image/webp", "text/html")
    answers = [caching.get(target, {"Accept": accept})[1] for accept in accepts]
    assert [fields["content-type"].removeprefix("image/") for fields in answers] == ["webp", "webp", "avif", "jpeg"]
    assert {fields["vary"].lower() for fields in answers} == {"accept"}
    assert caching.served() - before == 3


def test_an_error_is_not_kept_by_the_viewer(caching: Front) -> None:
    """A picture that is not there, under a permission that is good."""
    status, fields, _ = caching.get(caching.gate.target("nothing.jpg", "w=10"))
    assert (status, fields["cache-control"]) == (404, "no-store")


def test_a_range_of_a_kept_picture_is_sent(caching: Front) -> None:
    """Or all of it, as RFC 9110 allows."""
    target = caching.gate.target("cat.jpg", "w=108")
    whole = caching.get(target)[2]
    status, _, part = caching.get(target, {"Range": "bytes=0-9"})
    assert (status, part) in ((206, whole[:10]), (200, whole))


def test_fresh_signatures_hit_nginxs_cache(originals: Path, tmp_path: Path) -> None:
    """The benchmark in small: every view has a URL of its own; all but each picture's first come from the cache."""
    if program("nginx") is None:
        pytest.skip("nginx is not installed")
    (tmp_path / "nginx").mkdir()
    with (
        gateway.start(tmp_path / "gateway", originals, workers=1, forward_auth=forwarding.NGINX_ASKS) as gate,
        forwarding.running(tmp_path / "nginx", gate.address) as address,
    ):
        targets = views(gate, [f"{number}.jpg" for number in range(PICTURES)], VIEWS)
        assert len(set(targets)) == VIEWS
        shown = load.run(partial(load.closed_loop, address, targets, 4))
        assert missing(shown) == 0
        assert hits(shown) >= 0.98
        refused = load.run(partial(load.closed_loop, address, [tampered(target) for target in targets], 4))
        assert {sample.status for sample in refused.samples} == {403}


@pytest.mark.parametrize("name", NAMES)
def test_without_the_gateway_nothing_is_shown(name: str, originals: Path, tmp_path: Path) -> None:
    """Not even a picture that the proxy has kept: no answer is no yes."""
    if program(SAMPLES[name].program if name in SAMPLES else name) is None:
        pytest.skip(f"{name} is not installed")
    with running(name, tmp_path, originals) as front:
        target = front.gate.target("cat.jpg", "w=109")
        until(lambda: front.get(target)[0] == 200, what="a picture")
        front.gate.stop()
        assert front.get(target)[0] >= 400
