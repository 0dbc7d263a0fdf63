"""Real photographs at three sizes, made at run time; nothing big is committed.

They come from one photograph in Debian's package lomiri-wallpapers-16.04 ("life", Aitzol Berasategi, 2018, CC BY 4.0;
3088x2056), which is fetched by apt and only unpacked, or from a photograph of the user's own (--photograph).
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyvips

PACKAGE = "lomiri-wallpapers-16.04"
FILE = "usr/share/backgrounds/life_by_Aitzol_Berasategi.jpg"
LINKS_A_FOLDER = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """An original and what is made of it: `pixels` wide, between `least` and `most` bytes, shown `width` wide."""

    name: str
    pixels: int
    least: int
    most: int
    width: int


SIZES = (
    Size(name="large", pixels=2900, least=2_350_000, most=3_000_000, width=800),
    Size(name="medium", pixels=1280, least=380_000, most=500_000, width=400),
    Size(name="small", pixels=640, least=58_000, most=66_000, width=200),
)


@dataclass(slots=True)
class Pictures:
    """The originals in `folder`, and as many names for each as a measurement needs for misses (hard links)."""

    folder: Path
    story: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def size(self, name: str) -> Size:
        """The size of that name."""
        return next(size for size in SIZES if size.name == name)

    def file(self, name: str) -> Path:
        """The original of that size."""
        return self.folder / f"{name}.jpg"

    def fresh(self, name: str, count: int) -> list[str]:
        """`count` object keys that were never used before; each is the same original under another name."""
        return [self._link(name) for _ in range(count)]

    def endless(self, name: str) -> Iterator[str]:
        """Fresh keys without end, linked as they are taken."""
        while True:
            yield self._link(name)

    def place(self, body: bytes) -> str:
        """A fresh key for a file of one's own."""
        key = self._key("own")
        (self.folder / key).write_bytes(body)
        return key

    def _link(self, name: str) -> str:
        key = self._key(name)
        (self.folder / key).hardlink_to(self.file(name))
        return key

    def _key(self, name: str) -> str:
        number = next(self._numbers)
        key = f"fresh/{number // LINKS_A_FOLDER}/{name}-{number}.jpg"
        (self.folder / key).parent.mkdir(parents=True, exist_ok=True)
        return key


def make(folder: Path, photograph: Path | None, say: Callable[[str], None]) -> Pictures:
    """Make the three originals in `folder`. Raises RuntimeError where no photograph can be had."""
    folder.mkdir(parents=True)
    source = photograph or _from_debian(folder.parent / "photograph")
    whole = pyvips.Image.new_from_file(str(source))
    stories = []
    for size in SIZES:
        if whole.width < size.pixels:
            raise RuntimeError(f"the photograph {source.name} is {whole.width} pixels wide; {size.pixels} are needed")
        picture = pyvips.Image.thumbnail(str(source), size.pixels, height=10_000_000).copy_memory()
        body, quality = _encode(picture, size)
        (folder / f"{size.name}.jpg").write_bytes(body)
        stories.append(f"{size.name} {picture.width}x{picture.height}, {len(body) / 1000:.0f} kB, quality {quality}")
        say(f"  {stories[-1]}")
    name = source.name if photograph else f"{FILE.rpartition('/')[2]} of Debian's {PACKAGE}, CC BY 4.0"
    return Pictures(folder, f"{name}, re-encoded as baseline 4:2:0 JPEG: " + "; ".join(stories))


def _encode(picture: pyvips.Image, size: Size) -> tuple[bytes, int]:
    """The lowest quality whose file is large enough, by bisection."""
    low, high, best = 40, 98, (b"", 0)
    while low <= high:
        quality = (low + high) // 2
        body: bytes = picture.jpegsave_buffer(Q=quality, keep="none", subsample_mode="on")
        if len(body) >= size.least:
            best, high = (body, quality), quality - 1
        else:
            low = quality + 1
    if not size.least <= len(best[0]) <= size.most:
        raise RuntimeError(f"no JPEG quality makes the {size.name} original {size.least}..{size.most} bytes long")
    return best


def _from_debian(folder: Path) -> Path:
    """The installed photograph, or the package unpacked into `folder`."""
    installed = Path("/") / FILE
    if installed.exists():
        return installed
    if not shutil.which("apt-get"):
        raise RuntimeError("no photograph: this is no Debian; give one of 2900 pixels or more with --photograph FILE")
    folder.mkdir(parents=True)
    steps = (["apt-get", "download", "-q", PACKAGE], ["sh", "-c", "dpkg-deb -x *.deb ."])
    for step in steps:
        done = subprocess.run(step, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(
                f"no photograph: {' '.join(step)}: {done.stderr.strip()}; give one with --photograph FILE"
            )
    return folder / FILE
