"""The keyring file while a command changes it, and the history beside it."""

from __future__ import annotations

import fcntl
import getpass
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

import click
import msgspec
from msgspec import Struct

from countermark.configuration import key_wrapper
from countermark.core.errors import ConfigurationInvalid, KmsUnavailable
from countermark.keys.envelope import KEY_BYTES, NONCE_BYTES
from countermark.keys.keyfile import load
from countermark.keys.keyring import Key, Keyring
from countermark.keys.sealed import KeyWrapper, binding_of, hidden, open_sealed, seal_key
from countermark.settings.model import Settings
from countermark.settings.units import format_moment
from countermark.signing.table import KEY_USES

# A file that its owner's group may read stays so; nobody else may ever read it.
_MOST_RIGHTS = 0o640


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of a key's state, without material: `before` and `after` are states, "" before it was made, and removed."""

    key: str
    dialect: str
    fingerprint: str
    before: str
    after: str
    not_after: str = ""


class Record(Change, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the history: `at` is RFC 3339, `by` the account that ran the command."""

    at: str
    by: str


class KeyringFile:
    """The file as it is found, locked against other commands."""

    def __init__(self, settings: Settings) -> None:
        self._path = Path(settings.keys)
        self._history = Path(settings.keys_history) if settings.keys_history else None
        self.wrapper = key_wrapper(settings)
        self.text = self._path.read_text(encoding="utf-8")

    def keyring(self) -> Keyring:
        """What stands in it. Raises ConfigurationInvalid."""
        return load(self.text, file=str(self._path), uses=KEY_USES, wrapper=self.wrapper)

    def write(self, text: str, changes: Sequence[Change], now: int, *, checked: bool = True) -> None:
        """Put a new text in the place of the old one, and its changes into the history.

        Raises ConfigurationInvalid where the gateway would not take the new one; without `checked` that is not asked.
        """
        if checked:
            load(text, file=str(self._path), uses=KEY_USES, wrapper=self.wrapper)
        write_keyring(self._path, text)
        self.text = text
        if self._history is None or not changes:
            return
        at, by = format_moment(now), getpass.getuser()
        records = (Record(**msgspec.structs.asdict(change), at=at, by=by) for change in changes)
        with self._history.open("ab") as file:
            file.write(b"".join(msgspec.json.encode(record) + b"\n" for record in records))

    def known_ids(self) -> set[str]:
        """Ids that keys have had, as far as the history goes: one that was revoked must not come back by its name."""
        if self._history is None or not self._history.exists():
            return set()
        lines = self._history.read_bytes().splitlines()
        return {msgspec.json.decode(line, type=dict[str, str]).get("key", "") for line in lines if line.strip()}


@contextmanager
def keyring_file(settings: Settings) -> Iterator[KeyringFile]:
    """The keyring file, which no other command changes meanwhile. What cannot be done is told as click.ClickException."""
    try:
        # The folder is locked, as the file itself is replaced.
        folder = os.open(Path(settings.keys).parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield KeyringFile(settings)
        finally:
            os.close(folder)
    except (ConfigurationInvalid, KmsUnavailable) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or settings.keys}: {error.strerror or error}") from None
    except msgspec.DecodeError as error:
        raise click.ClickException(f"{settings.keys_history}: is no history of keys: {error}") from None


def write_keyring(path: Path, text: str) -> None:
    """In one step and with the rights of the old file: whoever reads meanwhile gets the one or the other whole."""
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
