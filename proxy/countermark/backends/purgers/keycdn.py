"""KeyCDN (keycdn.com/api, zones): tags as on its dashboard; URLs without scheme, each itself alone."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from countermark.backends.purgers.batches import batches
from countermark.backends.purgers.caller import Call, Calls
from countermark.settings.model import CdnSettings

ENDPOINT = "https://api.keycdn.com"
MOST = 100  # no limit is documented


class _Answer(msgspec.Struct):
    status: str = ""


def calls(settings: CdnSettings) -> Calls:
    """The API key is the user of Basic, without a password."""
    endpoint = settings.endpoint or ENDPOINT
    credentials = b64encode(f"{settings.token}:".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}

    def made(tags: Sequence[str], urls: Sequence[str]) -> Iterator[Call]:
        split = [urlsplit(url) for url in urls]
        word, key, items = (
            ("purgetag", "tags", tags) if tags else ("purgeurl", "urls", [f"{url.netloc}{url.path}" for url in split])
        )
        for batch in batches(items, MOST):
            yield Call(
                method="DELETE",
                url=f"{endpoint}/zones/{word}/{settings.zone}.json",
                headers=headers,
                body=msgspec.json.encode({key: batch}),
                agrees=_agrees,
            )

    return made


def _agrees(body: bytes) -> bool:
    try:
        return msgspec.json.decode(body, type=_Answer).status == "success"
    except msgspec.DecodeError:
        return False
