"""The cold cache of a gateway without a disk."""

from __future__ import annotations

from countermark.core.picture import Rendition


class NoCache:
    """Keeps nothing."""

    async def get(self, key: bytes) -> Rendition | None:
        return None

    async def put(self, key: bytes, rendition: Rendition) -> None:
        return

    async def drop(self, key: bytes) -> None:
        return

    async def close(self) -> None:
        return
