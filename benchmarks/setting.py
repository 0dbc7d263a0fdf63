"""What every measurement is given."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import cores
from benchmarks.pictures import Pictures


@dataclass(slots=True, kw_only=True)
class Setting:
    """The stage on which a measurement plays.

    folder    a temporary folder; it is removed at the end
    quick     few and short rounds: shows that all works, its figures are rough
    full      what takes gigabytes too
    peers     further peers by name: templates of a URL with {width}, {quality}, {key} and {source}
    say       prints progress
    """

    folder: Path
    pictures: Pictures
    quick: bool
    full: bool
    peers: Mapping[str, str]
    say: Callable[[str], None]
    cores: int = field(default_factory=cores)
    _places: int = 0

    def rounds(self, full: int, quick: int = 2) -> int:
        """How many rounds."""
        return quick if self.quick else full

    def seconds(self, full: float, quick: float = 1.0) -> float:
        """How long a round that runs by the clock is."""
        return quick if self.quick else full

    def place(self, name: str) -> Path:
        """A new folder of that name."""
        self._places += 1
        place = self.folder / f"{name}-{self._places}"
        place.mkdir(parents=True)
        return place


def tool(name: str) -> str | None:
    """The path of a program, also of those that Debian keeps for root; None where it is absent."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
