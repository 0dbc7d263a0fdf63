"""The kinds of key management services by the scheme of the setting kms."""

from __future__ import annotations

from pathlib import Path
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
    return GcpKms(place, **options) if scheme == "gcp" else VaultKms(place, **options)


def _refuse(message: str) -> None:
    raise ConfigurationInvalid([Fault(path="kms", message=message)])
