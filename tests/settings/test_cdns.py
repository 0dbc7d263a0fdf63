"""What CDNs and receivers need is told with its place, before anything is revoked."""

from __future__ import annotations

import pytest

from countermark.core.errors import ConfigurationInvalid
from countermark.settings.load import load

SITE = "origins: { p: { url: file:./p } }\nsites:\n  - { name: s, origin: p, shared_caches: true, cdns: [%s] }\n"
CLOUDFLARE = "c: { kind: cloudflare, zone: z1, token: t }"
KEY = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def faults(text: str) -> list[tuple[str, int]]:
    """Path and line of every fault."""
    with pytest.raises(ConfigurationInvalid) as caught:
        load(text, file="s.yaml")
    return [(fault.path, fault.line) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("cdn", "key"),
    [
        ("kind: cloudflare, zone: z1", "token"),
        ("kind: cloudfront, zone: z1, access_key_id: a", "secret_access_key"),
        ("kind: varnish", "addresses"),
        ("kind: fastly, zone: s, token: t, addresses: ['http://a']", "addresses"),
        ("kind: cloudflare, zone: ../other, token: t", "zone"),
        ("kind: cloudflare, zone: z, token: 'ä'", "token"),
        ("kind: varnish, addresses: ['http://a/b']", "addresses[0]"),
        ("kind: bunny, zone: z, token: t, endpoint: 'ftp://a'", "endpoint"),
        ("kind: bunny, zone: z, token: t, tag_header: 'a b'", "tag_header"),
        ("kind: cloudflar, zone: z, token: t", "kind"),
    ],
)
def test_a_cdn_that_cannot_be_purged_is_refused(cdn: str, key: str) -> None:
    """By the key that is wrong or missing, in its line."""
    assert faults(f"cdns:\n  c: {{ {cdn} }}\n") == [(f"cdns.c.{key}", 2)]


@pytest.mark.parametrize(
    ("cdns", "names", "path"),
    [
        (CLOUDFLARE, "d", "sites[0].cdns[0]"),
        (CLOUDFLARE, "c, c", "sites[0].cdns[1]"),
        ("c: { kind: nginx, addresses: ['http://a'] }", "c", "sites[0].cdns"),
        (f"{CLOUDFLARE}\n  k: {{ kind: keycdn, zone: z, token: t }}", "c, k", "sites[0].cdns"),
    ],
)
def test_a_site_whose_cdns_cannot_work_is_refused(cdns: str, names: str, path: str) -> None:
    """Unknown or twice, without the URLs that it needs, or two that read one field in different ways."""
    assert [found for found, _ in faults(f"cdns:\n  {cdns}\n{SITE % names}")] == [path]


def test_a_cdn_before_private_answers_is_refused() -> None:
    """There would be nothing to purge."""
    text = f"cdns:\n  {CLOUDFLARE}\n{SITE % 'c'}".replace("shared_caches: true, ", "")
    assert [path for path, _ in faults(text)] == ["sites[0].cdns"]


@pytest.mark.parametrize(
    ("notify", "path"),
    [
        (f"webhooks: [{{ url: 'ftp://a', secret: {KEY} }}]", "webhooks[0].url"),
        ("webhooks: [{ url: 'https://a', secret: short }]", "webhooks[0].secret"),
        ("mail: { server: mail, sender: a@b.c, recipients: [a@b.c] }", "mail.server"),
        ("mail: { server: 'mail:25', sender: a@b.c }", "mail.recipients"),
        ('mail: { server: "mail:25", sender: "a@b.c\\nBcc: x@y.z", recipients: [a@b.c] }', "mail.sender"),
        ("mail: { server: 'mail:25', sender: a@b.c, recipients: [a@b.c], user: u }", "mail"),
        (
            "mail: { server: 'mail:25', sender: a@b.c, recipients: [a@b.c], user: u, password: p, security: none }",
            "mail.security",
        ),
        ("runbook: somewhere", "runbook"),
    ],
)
def test_a_receiver_that_cannot_be_reached_is_refused(notify: str, path: str) -> None:
    """Also where a password would go in clear, or an address would write fields of a mail."""
    assert [found for found, _ in faults(f"notify: {{ {notify} }}\n")] == [f"notify.{path}"]


def test_what_is_right_is_taken() -> None:
    """A CDN, a site behind it, and its field of tags."""
    settings = load(
        f"cdns:\n  {CLOUDFLARE}\n{SITE % 'c'}notify: {{ webhooks: [{{ url: 'https://a', secret: {KEY} }}] }}\n"
    )
    assert settings.cdns["c"].tagged_in == "Cache-Tag"
    assert settings.sites[0].cdns == ("c",)
