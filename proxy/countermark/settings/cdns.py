"""What the settings of a CDN need by its kind, and the header field in which each kind takes surrogate keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

CdnKind = Literal["akamai", "bunny", "cloudflare", "cloudfront", "fastly", "keycdn", "nginx", "varnish"]


class CdnTraits(Struct, frozen=True, kw_only=True):
    """One kind.

    needs       settings without which no call is possible
    takes       settings that it may have besides
    tag_header  where it reads surrogate keys; "" for where that is to be set, or it has none
    separator   what stands between two of them
    """

    needs: tuple[str, ...]
    takes: tuple[str, ...] = ("endpoint", "tag_header")
    tag_header: str = ""
    separator: str = ","


CDN_TRAITS: Mapping[CdnKind, CdnTraits] = {
    "akamai": CdnTraits(
        needs=("endpoint", "client_token", "client_secret", "access_token"), tag_header="Edge-Cache-Tag"
    ),
    "bunny": CdnTraits(needs=("zone", "token"), tag_header="CDN-Tag"),
    "cloudflare": CdnTraits(needs=("zone", "token"), tag_header="Cache-Tag"),
    "cloudfront": CdnTraits(needs=("zone", "access_key_id", "secret_access_key")),
    "fastly": CdnTraits(needs=("zone", "token"), tag_header="Surrogate-Key", separator=" "),
    "keycdn": CdnTraits(needs=("zone", "token"), tag_header="Cache-Tag", separator=" "),
    "nginx": CdnTraits(needs=("addresses",), takes=()),
    "varnish": CdnTraits(needs=("addresses",), takes=(), tag_header="xkey", separator=" "),
}
