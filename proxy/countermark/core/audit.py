"""What is written of a request, and for how long that may be kept: the word of the policy that it came under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from countermark.core.place import Place

Detail = Literal["brief", "standard", "full"]


class Retention(Struct, frozen=True):
    """Whole seconds that a record may be kept, 0 where nobody said; `shorter` by DE or US-CA where a law asks for less."""

    seconds: int = 0
    shorter: Mapping[str, int] = {}

    @classmethod
    def of(cls, seconds: int, laws: Iterable[tuple[str, int]]) -> Retention:
        """From the template's own and from pairs of an ISO 3166 code, DE or US-CA, and the seconds of its law."""
        shorter: dict[str, int] = {}
        for code, least in laws:
            # US- is a region of the US that is not known, and "" a country: their law may be any of these.
            for key in (code, code[:3], ""):
                shorter[key] = min(least, shorter.get(key, least))
        return cls(seconds, shorter)

    def at(self, place: Place) -> int:
        """What holds for a request from there; of several laws the shortest, and so of those that may hold."""
        keys = (place.country, f"{place.country}-{place.region}")
        return min([self.shorter[key] for key in keys if key in self.shorter], default=self.seconds)


class Audit(Struct, frozen=True, kw_only=True):
    """How a request is written down.

    template   name and version of its policy, "" where it came under none
    detail     brief: nothing that tells who asked for what; standard; full: also whose the URL was
    path       what was signed of the path, written in place of it where the signature stands in it; "" elsewhere
    user ...   as in Claims; empty unless `detail` is full, so that nothing else can write them
    """

    template: str = ""
    detail: Detail = "standard"
    retention: Retention = Retention()
    path: str = ""
    user: str = ""
    client_id: str = ""
    session: str = ""
    jti: str = ""
    context: str = ""
    preset: str = ""


UNRULED = Audit()
"""Of a request that came under no policy."""
