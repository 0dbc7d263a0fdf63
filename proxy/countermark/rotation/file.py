"""The keyring file while it is changed, and the history beside it."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec
from msgspec import Struct

from countermark.configuration import key_wrapper
from countermark.core.errors import ConfigurationInvalid, Fault, KmsUnavailable
from countermark.keys.envelope import KEY_BYTES, NONCE_BYTES
from countermark.keys.keyfile import load
from countermark.keys.keyring import Key, Keyring
from countermark.keys.sealed import KeyWrapper, binding_of, hidden, open_sealed, seal_key
from countermark.settings.document import decode
from countermark.settings.model import Settings
from countermark.settings.units import format_moment
from countermark.signing.table import KEY_USES

# A file that its owner's group may read stays so; nobody else may ever read it.
_MOST_RIGHTS = 0o640

_NOWHERE = Path(os.devnull)


class Change(Struct, frozen=True, kw_only=True):
    """One change of a key's state, without material: `before` and `after` are states, "" before it was made, and removed.
    `not_after` is RFC 3339: until when a retiring key verifies."""

    key: str
    dialect: str
    fingerprint: str
    before: str
    after: str
    not_after: str = ""


class Record(Change, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the history: `at` is RFC 3339, `by` the account that ran the command, or the admin token's name."""

    at: str
    by: str


class KeyringFile:
    """The file as it is found, locked against whoever else would change it."""

    def __init__(self, settings: Settings) -> None:
        self._path = Path(settings.keys)
        self._history = Path(settings.keys_history) if settings.keys_history else _NOWHERE
        self.wrapper = key_wrapper(settings)
        self.text = decode(self._path.read_bytes(), file=str(self._path))

    def keyring(self) -> Keyring:
        """What stands in it. Raises ConfigurationInvalid."""
        return load(self.text, file=str(self._path), uses=KEY_USES, wrapper=self.wrapper)

    def write(self, text: str, records: Sequence[Record] = (), *, checked: bool = True) -> None:
        """Put a new text in the place of the old one, and the records of its changes into the history.

        Raises ConfigurationInvalid where the gateway would not take the new one; without `checked` that is not asked.
        """
        if checked:
            load(text, file=str(self._path), uses=KEY_USES, wrapper=self.wrapper)
        # Opened before anything is done: no key changes without a trace.
        with (self._history if records else _NOWHERE).open("ab") as history:
            _replace(self._path, text)
            self.text = text
            history.write(b"".join(msgspec.json.encode(record) + b"\n" for record in records))

    def known_ids(self) -> set[str]:
        """Ids that keys have had, as far as the history goes: one that was revoked must not come back by its name."""
        if not self._history.exists():
            return set()
        lines = self._history.read_bytes().splitlines()
        return {msgspec.json.decode(line, type=dict[str, str]).get("key", "") for line in lines if line.strip()}


@contextmanager
def keyring_file(settings: Settings) -> Iterator[KeyringFile]:
    """The keyring file, which nobody else changes meanwhile; blocks until that is so.

    Raises ConfigurationInvalid, also where the file, its folder or the history cannot be read or written.
    """
    try:
        # The folder is locked, as the file itself is replaced.
        folder = os.open(Path(settings.keys).parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield KeyringFile(settings)
        finally:
            os.close(folder)
    except OSError as error:
        raise _fault(error.filename or settings.keys, error.strerror or str(error)) from None
    except msgspec.DecodeError as error:
        raise _fault(settings.keys_history, f"is no history of keys: {error}") from None


def recorded(changes: Iterable[Change], *, now: int, by: str) -> list[Record]:
    """The lines of the history for changes that somebody makes now."""
    at = format_moment(now)
    return [Record(**msgspec.structs.asdict(change), at=at, by=by) for change in changes]


def sealed(key: Key, wrapper: KeyWrapper) -> str:
    """The text for `sealed`. Raises KmsUnavailable, also where the service could not open it again."""
    text = seal_key(key, wrapper, data_key=secrets.token_bytes(KEY_BYTES), nonce=secrets.token_bytes(NONCE_BYTES))
    try:
        intact = open_sealed(text, binding_of(key), wrapper) == hidden(key)
    except ValueError:
        intact = False
    # The plain secret goes with this, so nothing is believed.
    if not intact:
        raise KmsUnavailable("the service does not open what it has just wrapped")
    return text


def _replace(path: Path, text: str) -> None:
    """In one step and with the rights of the old file: whoever reads meanwhile gets the one or the other whole."""
    try:
        old = path.stat()
        with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            written = Path(file.name)
            try:
                if os.geteuid() == 0:
                    os.chown(written, old.st_uid, old.st_gid)
                written.chmod(old.st_mode & _MOST_RIGHTS)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                written.replace(path)
            except OSError:
                written.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise _fault(str(path), f"cannot be written: {error.strerror or error}") from None


def _fault(file: str, message: str) -> ConfigurationInvalid:
    return ConfigurationInvalid([Fault(path="", file=file, message=message)])
