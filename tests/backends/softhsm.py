"""A real token of a test's own: SoftHSM2, whose module is loaded into the test's process as an HSM's is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, ObjectClass

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "pin of the user"

_TOKEN = "countermark"


class Token:
    """A token without keys, kept in `folder`; `setting` names it for the setting kms, with any part of it replaced."""

    def __init__(self, beside: Path, folder: Path) -> None:
        self.folder = folder
        self.pin_file = beside / "pin"
        self.pin_file.write_text(f"{PIN}\n")
        self.pin_file.chmod(0o600)

    def setting(
        self, *, module: Path = MODULE, token: str = _TOKEN, key: str = "urls", pin_file: Path | None = None
    ) -> str:
        return f"pkcs11:{module}?token={token}&key={key}&pin_file={pin_file or self.pin_file}"

    def generate(self, label: str, bits: int = 256, **options: Any) -> None:
        """A key as `pkcs11-tool --keygen --sensitive` makes it."""
        with _logged_in() as session:
            session.generate_key(KeyType.AES, bits, label=label, store=True, **options)

    def put(self, label: str, key: bytes) -> None:
        """A key that is known outside of the token too."""
        kind = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.TOKEN: True}
        may = {Attribute.ENCRYPT: True, Attribute.DECRYPT: True}
        with _logged_in() as session:
            session.create_object({**kind, **may, Attribute.LABEL: label, Attribute.VALUE: key})

    def destroy(self, label: str) -> None:
        with _logged_in() as session:
            session.get_key(label=label).destroy()


@contextmanager
def _logged_in() -> Iterator[Any]:
    module = pkcs11.lib(str(MODULE))
    try:
        with module.get_token(token_label=_TOKEN).open(rw=True, user_pin=PIN) as session:
            yield session
    finally:
        module.finalize()


def new_token(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    """A token of this name in the folder; skips where SoftHSM2 is not installed."""
    if not MODULE.exists():
        pytest.skip("softhsm2 is not installed")
    tokens = folder / "tokens"
    tokens.mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(config))
    init = [
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        _TOKEN,
        "--pin",
        PIN,
        "--so-pin",
        "pin of the officer",
    ]
    subprocess.run(init, check=True, capture_output=True)
    return Token(folder, tokens)
