"""A year of weekly rotation in simulated time: whether a good URL is ever refused, or a key accepted that is over."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from msgspec import Struct

from benchmarks.figures import Figure, Goal
from benchmarks.result import Result
from benchmarks.setting import Setting
from countermark.backends.kms.local import new_master
from countermark.configuration import key_wrapper, read_keyring, rotation_rules
from countermark.core.errors import ConfigurationInvalid, CountermarkError
from countermark.core.request import EdgeRequest
from countermark.core.target import parse_target
from countermark.keys.keyfile import render
from countermark.keys.keyring import Key, Keyring
from countermark.keys.schedule import plan
from countermark.rotation.file import keyring_file, sealed
from countermark.rotation.turn import carry_out
from countermark.settings.model import RotationSettings, Settings, SiteSettings
from countermark.signing.dialect import MintOrder
from countermark.signing.realm import realm_of
from countermark.signing.table import DIALECTS
from countermark.signing.verify import authenticate

START = 1_764_000_000
HOUR, DAY, WEEK = 3600, 86_400, 604_800
WEEKS = 52
CLIENT = ip_address("203.0.113.7")
SEED = 52

_REALM = realm_of(SiteSettings(name="shop", origin="pictures", accept=("native",)))
_NATIVE = DIALECTS["native"]


class Url(Struct, frozen=True):
    """A signed URL, and when it is asked for: at once, in between, and in its last second."""

    target: str
    moments: tuple[int, ...]


class Year:
    """Three gateways, a signer and a keyring file whose master key is there in the minute of a rotation only.

    The first gateway takes each new file, the second misses every fourth, the third every second one. The signer takes
    the first one's keys, up to a day later.
    """

    def __init__(self, folder: Path, rotation: RotationSettings) -> None:
        self.random = random.Random(SEED)
        self.counts: Counter[str] = Counter()
        self._master = folder / "master.key"
        self._away = folder / "away"
        self._settings = Settings(
            keys=str(folder / "keys.yaml"),
            keys_history=str(folder / "history.jsonl"),
            kms=f"local:{self._master}",
            rotation={"native": rotation},
        )
        self._away.write_text(new_master())
        self._away.chmod(0o600)
        self._gateways: list[Keyring] = []
        self._urls: list[Url] = []
        self._over: dict[str, Key] = {}
        self._lag = 0

    def live(self, weeks: int) -> None:
        """Go through the weeks, hour by hour."""
        self._found()
        for week in range(weeks):
            before = self._gateways[0] if self._gateways else Keyring(())
            now = START + week * WEEK
            self._rotate(now, week)
            self._lag = self.random.randrange(DAY)
            for hour in range(WEEK // HOUR):
                signer = before if hour * HOUR < self._lag and week else self._gateways[0]
                self._hour(now + hour * HOUR, signer)

    def _found(self) -> None:
        """The first key, sealed as `keys new --sealed` does."""
        Path(self._settings.keys).touch(0o600)
        first = Key(id="k0", dialect="native", algorithm="hmac-sha256", material=self.random.randbytes(32))
        self._away.rename(self._master)
        wrapper = key_wrapper(self._settings)
        assert wrapper is not None
        Path(self._settings.keys).write_text(render(first, sealed(first, wrapper)))
        self._master.rename(self._away)

    def _rotate(self, now: int, week: int) -> None:
        self._away.rename(self._master)
        with keyring_file(self._settings) as file:
            keys = {key.id: key for key in file.keyring().keys}
            steps = plan(keys.values(), rotation_rules(self._settings), now)
            changes = carry_out(steps, keys, file, now=now, by="timer")
            again = plan(file.keyring().keys, rotation_rules(self._settings), now)
        self.counts["steps"] += len(steps)
        self.counts["steps of a second run"] += len(again)
        fresh = read_keyring(self._settings)
        self._master.rename(self._away)
        taken = (True, week % 4 != 3, week % 2 == 0)
        old = self._gateways or [fresh] * len(taken)
        self._gateways = [fresh if takes else had for takes, had in zip(taken, old, strict=True)]
        self._over |= {change.key: keys[change.key] for change in changes if change.after == "removed"}

    def _hour(self, now: int, signer: Keyring) -> None:
        self._reload_without_kms()
        for key in signer.keys:
            if key.signs(now):
                self._urls.append(self._signed(key, now))
        for url in self._urls:
            for moment in url.moments:
                if now <= moment < now + HOUR:
                    self._ask(url.target, moment, expected=True)
        self._urls = [url for url in self._urls if url.moments[-1] >= now + HOUR]
        if now % DAY < HOUR:
            for key in self._expired(now):
                self._ask(self._signed(key, now).target, now, expected=False)

    def _reload_without_kms(self) -> None:
        """Between rotations nobody can open the file: what gateways have must do."""
        if self.random.randrange(DAY // HOUR):
            return
        try:
            read_keyring(self._settings)
        except ConfigurationInvalid:
            self.counts["reloads refused while the KMS was away"] += 1
        else:
            self.counts["reloads that went through without a KMS"] += 1

    def _expired(self, now: int) -> Iterator[Key]:
        """Keys that are gone, and those that still stand somewhere though their time is over."""
        yield from self._over.values()
        newest = self._gateways[0]
        yield from (key for key in newest.keys if key.not_after is not None and now > key.not_after)

    def _signed(self, key: Key, now: int) -> Url:
        # Short and long lives, up to all that the key allows.
        life = self.random.choice((600, HOUR, DAY, key.max_life))
        number = self.counts["URLs"]
        self.counts["URLs"] += 1
        order = MintOrder(now=now, expires=now + life)
        target = _NATIVE.mint(parse_target(f"/{number}.jpg?w=800"), _REALM, key, order)
        between = sorted(now + self.random.randrange(life) for _ in range(3))
        return Url(target, (now, *between, now + life - 1))

    def _ask(self, target: str, now: int, *, expected: bool) -> None:
        """Each gateway, at this moment."""
        for gateway in self._gateways:
            request = EdgeRequest(
                id="r",
                method="GET",
                target=parse_target(target),
                host="img.example.com",
                client=CLIENT,
                headers={},
                received=float(now),
            )
            try:
                authenticate(request, _REALM, gateway, now)
                opened = True
            except CountermarkError:
                opened = False
            self.counts["asked"] += 1
            if opened is not expected:
                self.counts["refused" if expected else "accepted"] += 1


def measure(setting: Setting) -> Result:
    """Keyring files, sealing, plan and verify path are the real ones; only the clock is not."""
    year = Year(setting.place("rotation"), RotationSettings())
    weeks = WEEKS if not setting.quick else 6
    year.live(weeks)
    counts = year.counts
    zero = Goal("exactly", 0)
    return Result(
        name="rotation",
        title=f"{weeks} simulated weeks of rotation, the KMS away but for its minute",
        figures=(
            Figure(label="valid URLs refused", unit="", samples=(float(counts["refused"]),), goal=zero),
            Figure(label="expired keys accepted", unit="", samples=(float(counts["accepted"]),), goal=zero),
            Figure(
                label="steps of a second run", unit="", samples=(float(counts["steps of a second run"]),), goal=zero
            ),
        ),
        notes=(
            "one rotation a week by the defaults; keys sealed under a master key that is there for that minute only",
            "three gateways, of which one misses every fourth file and one every second; the signer is up to a day late",
            f"{counts['URLs']} URLs signed, {counts['asked']} verdicts asked, {counts['steps']} steps carried out",
            f"reloads without the KMS: {counts['reloads refused while the KMS was away']} refused, "
            f"{counts['reloads that went through without a KMS']} went through",
        ),
    )
