"""Each vendor is called as its documentation says, within its limits; what it answers is understood."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from aiohttp import web
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials as BotoCredentials  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from countermark.backends.purgers import akamai, cloudflare, cloudfront, fastly, keycdn, varnish
from countermark.backends.purgers.caller import Call
from countermark.backends.purgers.edgegrid import authorization
from countermark.backends.purgers.sigv4 import Credentials, signed_headers
from countermark.backends.purgers.table import VENDORS, open_purger
from countermark.core.errors import PurgeFailed
from countermark.identity.surrogate import tag
from countermark.settings.model import CdnSettings
from tests.sinks import Answer, Asked, web_sink

NOW = 1_800_000_000.0
TAGS = (tag("key", "k1"), tag("object", "shop:cat.jpg"))
URLS = ("https://img.example/shop/cat.jpg",)
SETTINGS: dict[str, CdnSettings] = {
    "akamai": CdnSettings(kind="akamai", client_token="ct", client_secret="cs", access_token="at"),
    "bunny": CdnSettings(kind="bunny", zone="77", token="secret-word"),
    "cloudflare": CdnSettings(kind="cloudflare", zone="z1", token="secret-word"),
    "cloudfront": CdnSettings(
        kind="cloudfront", zone="E1", access_key_id="AKID", secret_access_key="secret-word", tag_header="cache-tag"
    ),
    "fastly": CdnSettings(kind="fastly", zone="s1", token="secret-word"),
    "keycdn": CdnSettings(kind="keycdn", zone="55", token="secret-word"),
    "nginx": CdnSettings(kind="nginx"),
    "varnish": CdnSettings(kind="varnish"),
}
tag_lists = st.lists(st.integers(0, 5000), max_size=700).map(lambda numbers: [tag("key", str(n)) for n in numbers])


def agreed(asked: Asked) -> web.Response:
    """A success in the words of every vendor."""
    return web.json_response({"success": True, "status": "success"})


async def asked_by(
    settings: CdnSettings, answer: Answer = agreed, *, tags: Sequence[str] = TAGS, urls: Sequence[str] = URLS
) -> list[Asked]:
    """What one purge asks."""
    async with web_sink(answer) as hook:
        there = replace(settings, endpoint=hook.url, addresses=(hook.url,), timeout=5.0)
        purger = open_purger("edge", there)
        try:
            await purger.purge(tags=tags, urls=urls)
        finally:
            await purger.close()
        return [hook.asked.get_nowait() for _ in range(hook.asked.qsize())]


def json(asked: Asked) -> Any:
    return msgspec.json.decode(asked.body)


async def test_cloudflare_is_asked_by_tags() -> None:
    """One call with a bearer token."""
    (asked,) = await asked_by(SETTINGS["cloudflare"])
    assert (asked.method, asked.target) == ("POST", "/client/v4/zones/z1/purge_cache")
    assert asked.headers["Authorization"] == "Bearer secret-word"
    assert json(asked) == {"tags": list(TAGS)}


async def test_cloudflare_is_asked_by_prefixes_without_tags() -> None:
    """Without the scheme, and with every query behind."""
    (asked,) = await asked_by(SETTINGS["cloudflare"], tags=())
    assert json(asked) == {"prefixes": ["img.example/shop/cat.jpg"]}


async def test_fastly_is_asked_hard() -> None:
    """By a list of surrogate keys; never soft, which would go on showing what is stale."""
    (asked,) = await asked_by(SETTINGS["fastly"])
    assert (asked.method, asked.target) == ("POST", "/service/s1/purge")
    assert asked.headers["Fastly-Key"] == "secret-word"
    assert "Fastly-Soft-Purge" not in asked.headers
    assert json(asked) == {"surrogate_keys": list(TAGS)}
    (asked,) = await asked_by(SETTINGS["fastly"], tags=())
    assert (asked.method, asked.target) == ("POST", "/purge/img.example/shop/cat.jpg")


async def test_cloudfront_is_asked_by_tags_or_by_paths() -> None:
    """Tags with a hash sign where the distribution knows them; else paths with a star, and everything for a key."""
    (asked,) = await asked_by(SETTINGS["cloudfront"])
    assert (asked.method, asked.target) == ("POST", "/2020-05-31/distribution/E1/invalidation")
    assert re.findall("<Path>(.*?)</Path>", asked.body.decode()) == [f"#{name}" for name in TAGS]
    assert "<Quantity>2</Quantity>" in asked.body.decode()
    assert asked.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    bare = replace(SETTINGS["cloudfront"], tag_header="")
    (asked,) = await asked_by(bare, tags=TAGS[1:])
    assert re.findall("<Path>(.*?)</Path>", asked.body.decode()) == ["/shop/cat.jpg*"]
    (asked,) = await asked_by(bare)
    assert re.findall("<Path>(.*?)</Path>", asked.body.decode()) == ["/*"]


async def test_keycdn_is_asked_with_its_key_as_user() -> None:
    """DELETE with a body; URLs have no scheme."""
    (asked,) = await asked_by(SETTINGS["keycdn"])
    assert (asked.method, asked.target) == ("DELETE", "/zones/purgetag/55.json")
    assert asked.headers["Authorization"] == f"Basic {b64encode(b'secret-word:').decode()}"
    assert json(asked) == {"tags": list(TAGS)}
    (asked,) = await asked_by(SETTINGS["keycdn"], tags=())
    assert asked.target == "/zones/purgeurl/55.json"
    assert json(asked) == {"urls": ["img.example/shop/cat.jpg"]}


async def test_akamai_is_asked_to_delete() -> None:
    """On the production network."""
    (asked,) = await asked_by(SETTINGS["akamai"])
    assert (asked.method, asked.target) == ("POST", "/ccu/v3/delete/tag/production")
    assert asked.headers["Authorization"].startswith("EG1-HMAC-SHA256 client_token=ct;access_token=at;timestamp=")
    assert json(asked) == {"objects": list(TAGS)}


async def test_bunny_is_asked_once_a_tag() -> None:
    """And a URL with a star, which means every query."""
    asked = await asked_by(SETTINGS["bunny"])
    assert {call.target for call in asked} == {"/pullzone/77/purgeCache"}
    assert {call.headers["AccessKey"] for call in asked} == {"secret-word"}
    assert sorted(json(call)["CacheTag"] for call in asked) == sorted(TAGS)
    (call,) = await asked_by(SETTINGS["bunny"], tags=())
    assert call.target == "/purge?url=https%3A%2F%2Fimg.example%2Fshop%2Fcat.jpg%2A"


async def test_varnish_is_asked_by_tags_or_urls() -> None:
    """As the VCL of deploy/purge reads it."""
    (asked,) = await asked_by(SETTINGS["varnish"])
    assert (asked.method, asked.target, asked.headers["xkey-purge"]) == ("PURGE", "/", " ".join(TAGS))
    (asked,) = await asked_by(SETTINGS["varnish"], tags=())
    assert (asked.method, asked.target, asked.headers["Host"]) == ("PURGE", "/shop/cat.jpg", "img.example")


async def test_nginx_is_asked_by_urls_and_else_for_everything() -> None:
    """It knows no tags: what a key signed may be anywhere. That nothing was kept is no failure."""
    (asked,) = await asked_by(SETTINGS["nginx"], lambda _: web.Response(status=412), tags=TAGS[1:])
    assert (asked.method, asked.target, asked.headers["Host"]) == ("PURGE", "/shop/cat.jpg*", "img.example")
    (asked,) = await asked_by(SETTINGS["nginx"])
    assert asked.target == "/*"


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize(("status", "final"), [(429, False), (503, False), (401, True), (302, True)])
async def test_a_refusal_is_told_with_what_to_do(kind: str, status: int, final: bool) -> None:
    """Whether to try again, and when; redirects are not followed, and no credential is in the error."""
    refusal = web.Response(status=status, headers={"Retry-After": "7", "Location": "/elsewhere"})
    with pytest.raises(PurgeFailed) as caught:
        await asked_by(SETTINGS[kind], lambda _: web.Response(status=status, headers=refusal.headers), tags=TAGS[:1])
    assert (caught.value.final, caught.value.retry_after) == (final, 7.0)
    assert "secret-word" not in f"{caught.value.detail} {caught.value.private}"


@pytest.mark.parametrize("kind", ["cloudflare", "keycdn"])
@pytest.mark.parametrize("body", ['{"success": false, "status": "error"}', "<html>", ""])
async def test_a_refusal_in_the_words_of_a_success_is_none(kind: str, body: str) -> None:
    """The status alone proves nothing there."""
    with pytest.raises(PurgeFailed) as caught:
        await asked_by(SETTINGS[kind], lambda _: web.Response(text=body))
    assert caught.value.final


async def test_silence_ends_in_time() -> None:
    """A vendor that does not answer is tried again later."""
    ended = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        ended.set()

    silent = await asyncio.start_server(hold, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        settings = replace(SETTINGS["cloudflare"], endpoint=f"http://127.0.0.1:{port}", timeout=0.05)
        purger = open_purger("edge", settings)
        with pytest.raises(PurgeFailed, match="too long") as caught:
            await purger.purge(tags=TAGS, urls=())
        await purger.close()
        await ended.wait()
    assert not caught.value.final


async def test_one_cache_that_is_away_keeps_no_other_from_forgetting() -> None:
    """All are told, and the failure is told too."""
    async with web_sink() as hook:
        purger = open_purger("edge", CdnSettings(kind="varnish", addresses=("http://127.0.0.1:9", hook.url)))
        with pytest.raises(PurgeFailed, match="cannot be reached"):
            await purger.purge(tags=TAGS, urls=())
        await purger.close()
        assert hook.asked.qsize() == 1


@given(tags=tag_lists)
def test_every_tag_is_in_exactly_one_call_within_the_limits(tags: list[str]) -> None:
    """The documented numbers of items, and bytes at Akamai."""

    def bodies(calls: Sequence[Call], key: str) -> list[list[str]]:
        return [msgspec.json.decode(call.body)[key] for call in calls]

    wanted = sorted(set(tags))
    for vendor, key, most in ((cloudflare, "tags", 100), (fastly, "surrogate_keys", 256), (keycdn, "tags", 100)):
        settings = SETTINGS[vendor.__name__.rpartition(".")[2]]
        found = bodies(list(vendor.calls(settings)(tags, ())), key)
        assert all(0 < len(batch) <= most for batch in found)
        assert sorted(one for batch in found for one in batch) == wanted
    calls = list(akamai.calls(replace(SETTINGS["akamai"], endpoint="https://a.example"))([*tags, *URLS], ()))
    assert all(len(call.body) <= 50_000 for call in calls)
    assert sorted(item for batch in bodies(calls, "objects") for item in batch) == sorted([*wanted, *URLS])
    told = [
        call.headers["xkey-purge"]
        for call in varnish.calls(CdnSettings(kind="varnish", addresses=("http://a",)))(tags, ())
    ]
    assert all(len(line) < 8000 for line in told)
    assert sorted(" ".join(told).split()) == wanted


@given(
    urls=st.lists(st.text("abc/", min_size=1, max_size=400).map(lambda text: f"https://a.example/{text}"), max_size=400)
)
def test_akamai_never_gets_too_large_a_body(urls: list[str]) -> None:
    """50,000 bytes; a URL is in exactly one call."""
    calls = list(akamai.calls(replace(SETTINGS["akamai"], endpoint="https://a.example"))((), urls))
    assert all(len(call.body) <= akamai.MOST_BYTES for call in calls)
    assert sorted(url for call in calls for url in msgspec.json.decode(call.body)["objects"]) == sorted(set(urls))


@given(count=st.integers(0, 100))
def test_cloudfront_gets_few_stars_at_once(count: int) -> None:
    """15 may be under way."""
    urls = [f"https://img.example/{number}" for number in range(count)]
    bare = replace(SETTINGS["cloudfront"], tag_header="")
    calls = list(cloudfront.calls(bare)((), urls))
    assert all(call.body.count(b"*</Path>") <= cloudfront.MOST_STARS for call in calls)
    assert sum(call.body.count(b"<Path>") for call in calls) == max(1, count)


def test_sigv4_is_what_botocore_makes() -> None:
    """The vendor's own signer, at the same moment."""
    url, body = "https://cloudfront.amazonaws.com/2020-05-31/distribution/E1/invalidation", b"<InvalidationBatch/>"
    ours = signed_headers(Credentials("AKID", "secret", "us-east-1", "cloudfront"), "POST", url, body, now=NOW)
    request = AWSRequest(method="POST", url=url, data=body)
    request.context["timestamp"] = ours["X-Amz-Date"]
    request.headers["X-Amz-Date"] = ours["X-Amz-Date"]
    auth = SigV4Auth(BotoCredentials("AKID", "secret"), "cloudfront", "us-east-1")
    text = auth.string_to_sign(request, auth.canonical_request(request))
    assert ours["Authorization"].endswith(f"Signature={auth.signature(text, request)}")


def test_edgegrid_is_what_akamais_signer_makes() -> None:
    """A header that the vendor's edgegrid-python made for the same moment and nonce."""
    settings = CdnSettings(
        kind="akamai", client_token="akab-client", client_secret="secret-of-the-client", access_token="akab-access"
    )
    made = authorization(
        settings,
        "POST",
        "https://akab-host.purge.akamaiapis.net/ccu/v3/delete/tag/production",
        b'{"objects":["k-0123456789abcdef"]}',
        now=NOW,
        nonce="00112233445566778899aabbccddeeff",
    )
    assert made == (
        "EG1-HMAC-SHA256 client_token=akab-client;access_token=akab-access;timestamp=20270115T08:00:00+0000;"
        "nonce=00112233445566778899aabbccddeeff;signature=r2MrfWJQbZQX8TtVRTke9Tt1h9uphAoQUwGYpPChb6A="
    )


def test_every_kind_has_a_vendor() -> None:
    """What the settings take can be opened."""
    assert VENDORS.keys() == SETTINGS.keys()


def test_credentials_are_in_no_text_of_the_settings() -> None:
    """A traceback or a debug line shows the kind alone."""
    assert "secret-word" not in repr(SETTINGS["cloudfront"])
