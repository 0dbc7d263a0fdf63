"""The tour: what the gateway answers to good, bad, late, tampered and hostile requests, one stop each.

Here is what a signature decides and what is made of a picture; who may have it, and until when, is in `permission.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from countermark.demo.files import Files
from countermark.demo.permission import permissions, reason
from countermark.demo.signer import DemoSigner
from countermark.demo.walk import Chapter, Reply, Step
from countermark.demo.world import OTHER_BRAND

BURST = 100
LATER = 3600


def tour(sign: DemoSigner, files: Files) -> list[Chapter]:
    """All stops in order."""
    return [
        Chapter(title="Pictures of a private origin, by signed URL", steps=_good(sign)),
        Chapter(title="From the cache", steps=_cached(sign)),
        Chapter(title="Tampered, too late, too early, malformed", steps=_refused(sign)),
        Chapter(title="URLs that were signed for somebody else's system", steps=[*_keycdn(sign), *_seeds(sign)]),
        *permissions(sign, files),
        Chapter(title="Another proxy asks whether it may show a picture", steps=_asked_for(sign)),
        Chapter(title="Originals that are no good", steps=_pictures(sign)),
        Chapter(title="Watched", steps=_watched()),
    ]


def _good(sign: DemoSigner) -> list[Step]:
    jpeg = {"Content-Type": "image/jpeg"}
    return [
        Step(title="ready", target="/readyz", status=200),
        Step(title="nothing signed", target="/photos/coffee.jpg?w=400", status=401, expect=reason("signature_missing")),
        Step(title="the original, untouched", target=sign.native("/photos/coffee.jpg"), status=200, expect=jpeg),
        Step(title="400 pixels wide", target=sign.native("/photos/coffee.jpg?w=400"), status=200, expect=jpeg),
        Step(
            title="the best format for this browser: AVIF",
            target=sign.native("/photos/coffee.jpg?w=400&fm=auto"),
            headers={"Accept": "image/avif,image/webp,*/*"},
            status=200,
            expect={"Content-Type": "image/avif", "Vary": "Accept"},
        ),
        Step(
            title="the best format for an older one: WebP",
            target=sign.native("/photos/coffee.jpg?w=400&fm=auto"),
            headers={"Accept": "image/webp,*/*"},
            status=200,
            expect={"Content-Type": "image/webp", "Vary": "Accept"},
        ),
        Step(
            title="a square, cut where the eye looks",
            target=sign.native("/photos/astronaut.jpg?w=200&h=200&fit=cover&gravity=attention"),
            status=200,
            expect=jpeg,
        ),
        Step(title="a preset, bound by its hash", target=sign.preset("/photos/rocket.jpg", "card"), status=200),
        Step(title="watermarked by the site", target=sign.native("/shop/chelsea.jpg?w=400"), status=200, expect=jpeg),
        Step(title="watermarked though nothing was asked", target=sign.native("/shop/chelsea.jpg"), status=200),
        Step(
            title="signed with Ed25519",
            target=sign.native("/photos/rocket.jpg?w=300", key="demo-ed25519"),
            status=200,
            expect=jpeg,
        ),
        Step(
            title="bound to this address",
            target=sign.native("/photos/rocket.jpg?w=301", ip="127.0.0.1"),
            status=200,
            expect={"Cache-Control": "private"},
        ),
    ]


def _cached(sign: DemoSigner) -> list[Step]:
    coffee = sign.native("/photos/coffee.jpg?w=400")
    return [
        Step(
            title=f"{BURST} at once for one new picture",
            target=sign.native("/photos/astronaut.jpg?w=333"),
            status=200,
            times=BURST,
        ),
        Step(title="again, from the cache", target=coffee, status=200, expect={"Cache-Status": "hit"}),
        Step(title="its header alone", target=coffee, method="HEAD", status=200, check=_empty),
        Step(
            title="not modified",
            target=coffee,
            headers=lambda replies: {"If-None-Match": replies["again, from the cache"].headers["etag"]},
            status=304,
            check=_empty,
        ),
        Step(
            title="its first hundred bytes",
            target=coffee,
            headers={"Range": "bytes=0-99"},
            status=206,
            expect={"Content-Range": "bytes 0-99/"},
            check=lambda reply: "" if len(reply.body) == 100 else f"{len(reply.body)} bytes, expected 100",
        ),
        Step(title="a range beyond its end", target=coffee, headers={"Range": "bytes=99999999-"}, status=416),
    ]


def _refused(sign: DemoSigner) -> list[Step]:
    good = sign.native("/photos/coffee.jpg?w=400")
    return [
        Step(
            title="another width than was signed",
            target=good.replace("w=400", "w=4000"),
            status=403,
            expect=reason("signature_invalid"),
        ),
        Step(
            title="another picture than was signed",
            target=good.replace("coffee", "rocket"),
            status=403,
            expect=reason("signature_invalid"),
        ),
        Step(
            title="expired",
            target=sign.native("/photos/coffee.jpg?w=400", ends=-1),
            status=410,
            expect={**reason("expired"), "Cache-Control": "no-store"},
        ),
        Step(
            title="not yet valid",
            target=sign.native("/photos/coffee.jpg?w=400", starts=LATER // 2),
            status=403,
            expect=reason("not_yet_valid"),
        ),
        Step(
            title="bound to another address",
            target=sign.native("/photos/coffee.jpg?w=400", ip="203.0.113.7"),
            status=403,
            expect=reason("address_mismatch"),
        ),
        Step(
            title="an operation that does not exist",
            target=sign.native("/photos/coffee.jpg?wdith=400"),
            status=400,
            expect=reason("parameter_unknown"),
        ),
        Step(title="an empty segment", target="/photos//coffee.jpg", status=400, expect=reason("target_malformed")),
        Step(title="a way out", target="/photos/../coffee.jpg", status=400, expect=reason("target_malformed")),
        Step(title="an encoded slash", target="/photos/..%2fcoffee.jpg", status=400, expect=reason("target_malformed")),
        Step(title="another method", target=good, method="DELETE", status=405, expect={"Allow": "GET"}),
        Step(title="no such site", target="/elsewhere/coffee.jpg", status=404, expect=reason("site_unknown")),
    ]


def _keycdn(sign: DemoSigner) -> list[Step]:
    image = sign.keycdn_image("/keycdn/coffee.jpg?width=300&height=200")
    return [
        Step(title="KeyCDN image processing", target=image, status=200, expect={"Content-Type": "image/jpeg"}),
        Step(title="KeyCDN: tampered", target=image.replace("width=300", "width=301"), status=403),
        Step(title="KeyCDN: no token", target="/keycdn/coffee.jpg?width=300", status=403),
        Step(title="KeyCDN access control", target=sign.keycdn_access("/keycdn-access/rocket.jpg"), status=200),
        Step(title="KeyCDN: expired", target=sign.keycdn_access("/keycdn-access/rocket.jpg", ends=-1), status=410),
    ]


def _asked_for(sign: DemoSigner) -> list[Step]:
    """What a proxy asks before it shows a picture of its own."""
    first, second = sign.native("/photos/coffee.jpg?w=400"), sign.native("/photos/coffee.jpg?w=400", ends=LATER // 2)
    return [
        Step(title="may a proxy show it: yes", target="/verify", headers=_original(first), status=204, check=_empty),
        Step(
            title="another signature, the same cache key",
            target="/verify",
            headers=_original(second),
            status=204,
            expect=lambda replies: _same_key(replies["may a proxy show it: yes"]),
        ),
        Step(
            title="may a proxy show it: no",
            target="/verify",
            headers=_original(first.replace("w=400", "w=4000")),
            status=403,
            expect=reason("signature_invalid"),
        ),
    ]


def _original(target: str) -> Mapping[str, str]:
    return {"X-Original-URI": target}


def _same_key(reply: Reply) -> Mapping[str, str]:
    return {"Countermark-Cache-Key": reply.headers["countermark-cache-key"]}


def _seeds(sign: DemoSigner) -> list[Step]:
    fiddler = sign.vendor("/pixel-fiddler/coffee.jpg?w=300", key="demo-pixel-fiddler")
    late = sign.vendor("/pixel-fiddler/coffee.jpg?w=300", key="demo-pixel-fiddler", now=-LATER)
    card = sign.vendor("/og/api/signed/image?image=coffee.jpg&w=310", key="demo-ogimage")
    old = sign.vendor("/og/api/signed/image?image=coffee.jpg&w=310", key="demo-ogimage", ends=-1)
    once = sign.vendor("/i/0012345678905-front.jpg?w=320", key="demo-retail-digitals", client_id="cl_demo")
    return [
        Step(title="Pixel Fiddler", target=fiddler, status=200),
        Step(title="Pixel Fiddler: not signed", target="/pixel-fiddler/coffee.jpg?w=300", status=401),
        Step(title="Pixel Fiddler: five minutes are over", target=late, status=403),
        Step(title="OG Image API", target=card, status=200),
        Step(title="OG Image API: expired", target=old, status=400, check=lambda reply: _says(reply, "URL expired")),
        Step(title="Retail Digitals, its header alone", target=once, method="HEAD", status=200, check=_empty),
        Step(title="Retail Digitals, the first time", target=once, status=200, expect={"Cache-Control": "no-store"}),
        Step(title="Retail Digitals, the second time", target=once, status=410, expect=reason("used")),
    ]


def _says(reply: Reply, text: str) -> str:
    return "" if text.encode() in reply.body else f"the body does not say {text!r}"


def _pictures(sign: DemoSigner) -> list[Step]:
    return [
        Step(
            title="no such picture",
            target=sign.native("/photos/nothing.jpg?w=100"),
            status=404,
            expect=reason("original_missing"),
        ),
        Step(
            title="a text that says it is a picture",
            target=sign.native("/photos/text.jpg?w=100"),
            status=415,
            expect=reason("picture_unsupported"),
        ),
        Step(
            title="a picture cut in half",
            target=sign.native("/photos/half.jpg?w=100"),
            status=422,
            expect=reason("picture_broken"),
        ),
        Step(
            title="a picture that claims 65500 x 65500 pixels",
            target=sign.native("/photos/bomb.jpg?w=100"),
            status=413,
            expect=reason("picture_too_large"),
        ),
    ]


def _watched() -> list[Step]:
    return [
        Step(
            title="Prometheus sees it all",
            target="/metrics",
            status=200,
            admin=True,
            check=lambda reply: "" if b"countermark_requests_total{" in reply.body else "no countermark_requests_total",
        ),
        Step(title="metrics are not public", target="/metrics", status=404),
    ]


def origin_chapter(token: str) -> Chapter:
    """What the origin itself says: it is private, the burst reached it once, and what was out of scope never did."""
    bearer = {"Authorization": f"Bearer {token}"}
    steps = [
        Step(title="the origin itself is private", target="/astronaut.jpg", status=401),
        Step(
            title=f"the {BURST} at once were one fetch",
            target="/_requests",
            headers=bearer,
            status=200,
            # Once for the square, once for the burst.
            check=lambda reply: _fetched(reply, "astronaut.jpg", 2),
        ),
        Step(
            title="the other brand's picture was not even looked for",
            target="/_requests",
            headers=bearer,
            status=200,
            check=lambda reply: _fetched(reply, OTHER_BRAND, 0),
        ),
    ]
    return Chapter(title="The origin's own view", steps=steps)


def _fetched(reply: Reply, name: str, times: int) -> str:
    asked = json.loads(reply.body).get(name, 0)
    return "" if asked == times else f"the origin was asked {asked} times for {name}, expected {times}"


def _empty(reply: Reply) -> str:
    return f"a body of {len(reply.body)} bytes, expected none" if reply.body else ""
