"""The kinds of key management services by the scheme of the setting kms."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl

from countermark.backends.kms.aws import AwsKms
from countermark.backends.kms.gcp import GcpKms
from countermark.backends.kms.local import LocalKms
from countermark.backends.kms.vault import VaultKms
from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.keys.sealed import KeyWrapper

_OPTIONS = {
    "local": frozenset[str](),
    "aws": frozenset({"region", "endpoint"}),
    "gcp": frozenset({"endpoint", "token_file"}),
    "vault": frozenset({"token_file"}),
    "pkcs11": frozenset({"token", "key", "pin_file"}),
}


def open_kms(setting: str) -> KeyWrapper:
    """The service that a setting names; nothing is asked yet. Raises ConfigurationInvalid."""
    scheme, _, rest = setting.partition(":")
    if scheme not in _OPTIONS or not rest:
        _refuse(f"should start with one of {', '.join(f'{name}:' for name in _OPTIONS)}")
    if scheme == "local":
        return LocalKms(Path(rest))
    place, _, query = rest.partition("?")
    options = dict(parse_qsl(query))
    if unknown := sorted(options.keys() - _OPTIONS[scheme]):
        known = ", ".join(sorted(_OPTIONS[scheme]))
        _refuse(f"{scheme}: has no option {unknown[0][:40]!r}; there are {known}")
    if scheme == "aws":
        return AwsKms(place, **options)
    if scheme == "pkcs11":
        return _open_pkcs11(place, options)
    return GcpKms(place, **options) if scheme == "gcp" else VaultKms(place, **options)


def _open_pkcs11(module: str, options: dict[str, str]) -> KeyWrapper:
    try:
        from countermark.backends.kms.pkcs11 import Pkcs11Kms
    except ModuleNotFoundError as error:
        if error.name != "pkcs11":
            raise
        _refuse("pkcs11: needs python-pkcs11; `pip install countermark[pkcs11]` brings it")
    if missing := sorted(_OPTIONS["pkcs11"] - options.keys()):
        _refuse(f"pkcs11: needs the option {missing[0]}")
    # The loader looks for a mere name along a path of its own, where a stranger's library may stand.
    if not module.startswith("/") or not options["pin_file"].startswith("/"):
        _refuse("pkcs11: should name the module and pin_file by absolute paths")
    return Pkcs11Kms(module, **options)


def _refuse(message: str) -> NoReturn:
    raise ConfigurationInvalid([Fault(path="kms", message=message)])
