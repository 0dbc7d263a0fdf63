"""nginx with our own sample of forward authentication in front of a gateway, as in deploy/forward-auth/nginx.conf."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import nginx
from benchmarks.gateway import free_port
from benchmarks.load import Address

SAMPLES = Path(__file__).parents[1] / "deploy" / "forward-auth"
NGINX_ASKS: Mapping[str, object] = {"target": "X-Original-URI", "method": "X-Original-Method", "only_401_403": True}


def sample(name: str, changes: Mapping[str, str]) -> str:
    """A sample's text with the places of this run. Raises RuntimeError where one is not in it."""
    text = (SAMPLES / name).read_text()
    for place, here in changes.items():
        if place not in text:
            raise RuntimeError(f"{name} does not hold {place!r}")
        text = text.replace(place, here)
    return text


@contextlib.contextmanager
def running(folder: Path, gateway: Address, *, cache_key: str = "$countermark_key") -> Iterator[Address]:
    """The sample, ended on leaving; `cache_key` as nginx writes it. Raises RuntimeError where nginx does not come up."""
    port = free_port()
    places = {
        "listen 8000": f"listen 127.0.0.1:{port}",
        "127.0.0.1:8080": f"{gateway[0]}:{gateway[1]}",
        "proxy_cache_key $countermark_key": f"proxy_cache_key {cache_key}",
        "/var/cache/nginx/countermark": str(folder / "cache"),
    }
    with nginx.serving(folder, sample("nginx.conf", places), port, workers=1) as running_nginx:
        yield running_nginx.address
