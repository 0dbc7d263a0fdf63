"""Reads settings, the secrets beside them, keyring, policies and watermarks, for the gateway and its commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from countermark.backends.kms.table import open_kms
from countermark.core.errors import ConfigurationInvalid, Fault, KmsUnavailable
from countermark.identity.clientfile import load_clients
from countermark.keys.keyfile import load as load_keys
from countermark.keys.keyring import SEALING, Key, Keyring
from countermark.keys.schedule import Rule
from countermark.keys.sealed import Context, KeyWrapper
from countermark.policy.load import MAX_LIST_BYTES, load_templates
from countermark.settings.anchor import anchored
from countermark.settings.convert import suggestion
from countermark.settings.document import MAX_BYTES, decode
from countermark.settings.load import load, secret_files
from countermark.settings.model import Settings
from countermark.settings.tokens import AdminToken, load_tokens
from countermark.signing.table import KEY_USES, SITE_USES

_Read = TypeVar("_Read")


class Configuration(Struct, frozen=True, kw_only=True):
    """Everything that a start or a reload reads, of one moment and free of faults.

    The supervisor reads it and hands it to its workers whole, so that no worker, not even one that replaces a dead one
    later, runs with files that have changed since.
    """

    settings: Settings
    keys: tuple[Key, ...]
    policies: dict[str, str]
    clients: str
    watermarks: dict[str, bytes]
    admin_tokens: tuple[AdminToken, ...]

    @property
    def keyring(self) -> Keyring:
        return Keyring(self.keys)


def read_configuration(path: Path, environ: Mapping[str, str] = os.environ) -> Configuration:
    """The settings and all files that they name. Raises ConfigurationInvalid with all faults."""
    settings = read_settings(path, environ)
    faults: list[Fault] = []
    read = partial(_or_faults, settings, faults)
    no_rules: dict[str, Rule] = {}
    read(rotation_rules, no_rules)
    configuration = Configuration(
        settings=settings,
        keys=read(lambda settings: read_keyring(settings).keys, ()),
        policies=read(read_policies, {}),
        clients=read(read_clients, ""),
        watermarks=read(read_watermarks, {}),
        admin_tokens=read(read_admin_tokens, ()),
    )
    if faults:
        raise ConfigurationInvalid(faults)
    return configuration


def _or_faults(settings: Settings, faults: list[Fault], read: Callable[[Settings], _Read], nothing: _Read) -> _Read:
    try:
        return read(settings)
    except ConfigurationInvalid as invalid:
        faults += invalid.faults
        return nothing


def read_settings(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a file and the environment, with absolute paths. Raises ConfigurationInvalid with all faults."""
    text = _text(path)
    secrets = {name: _secret(Path(file)) for name, file in secret_files(environ).items()}
    settings = load(text, file=str(path), environ={**environ, **secrets}, dialects=SITE_USES)
    return anchored(settings, str(path.absolute().parent))


def read_keyring(settings: Settings) -> Keyring:
    """The keyring that the settings name; what is sealed is opened. Raises ConfigurationInvalid with all faults."""
    path = Path(settings.keys)
    text = _text(path, "; `countermark keys new` makes a key")
    return load_keys(text, file=str(path), uses=KEY_USES, wrapper=key_wrapper(settings))


def key_wrapper(settings: Settings) -> KeyWrapper | None:
    """Who opens what is sealed, None where the settings name nobody. Raises ConfigurationInvalid."""
    return _Patient(open_kms(settings.kms)) if settings.kms else None


class _Patient:
    """A service that did not answer once is not asked again for each further key."""

    def __init__(self, wrapper: KeyWrapper) -> None:
        self.scheme = wrapper.scheme
        self._wrapper = wrapper
        self._trouble: KmsUnavailable | None = None

    def wrap(self, data_key: bytes, context: Context) -> bytes:
        return self._wrapper.wrap(data_key, context)

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        if self._trouble is not None:
            raise self._trouble
        try:
            return self._wrapper.unwrap(wrapped, context)
        except KmsUnavailable as trouble:
            self._trouble = trouble
            raise


def rotation_rules(settings: Settings) -> dict[str, Rule]:
    """How the keys of each dialect are rotated. Raises ConfigurationInvalid for dialects whose keys cannot be."""
    faults = []
    for dialect in settings.rotation:
        if dialect not in KEY_USES:
            faults.append(Fault(path=f"rotation.{dialect}", message=f"no such dialect{suggestion(dialect, KEY_USES)}"))
        elif KEY_USES[dialect].private_once:
            message = "its vendor keeps public keys alone, and the private half is shown once: rotate its keys by hand"
            faults.append(Fault(path=f"rotation.{dialect}", message=message))
    if faults:
        raise ConfigurationInvalid(faults)
    return {
        dialect: Rule(
            every=int(rotation.every),
            publish_ahead=int(rotation.publish_ahead),
            overlap=int(rotation.overlap),
            life=int(settings.sessions.max_life) if dialect == SEALING else 0,
        )
        for dialect, rotation in settings.rotation.items()
    }


def read_watermarks(settings: Settings) -> dict[str, bytes]:
    """The watermark images by name, as files hold them. Raises ConfigurationInvalid with all that cannot be read."""
    return _files("watermarks.{}.image", {name: mark.image for name, mark in settings.watermarks.items()})


def read_authorities(settings: Settings) -> dict[str, bytes]:
    """The authorities of client certificates by hop, as files hold them. Raises ConfigurationInvalid with all that cannot
    be read."""
    named = {name: hop.client_authorities for name, hop in settings.server.hops.items() if hop.client_authorities}
    return _files("server.hops.{}.client_authorities", named)


def _files(setting: str, named: Mapping[str, str]) -> dict[str, bytes]:
    contents, faults = {}, []
    for name, path in named.items():
        try:
            contents[name] = Path(path).read_bytes()
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror or error}"
            faults.append(Fault(path=setting.format(name), message=message))
    if faults:
        raise ConfigurationInvalid(faults)
    return contents


def read_policies(settings: Settings) -> dict[str, str]:
    """The texts of the policy templates by file, those of the sites among them; `load_templates` makes templates of them.

    Raises ConfigurationInvalid with all faults.
    """
    if not settings.policies:
        return {}
    texts = policy_texts(Path(settings.policies))
    faults: list[Fault] = []
    try:
        templates = load_templates(texts, presets=settings.presets.keys())
        endpoints = {name: template.file.endpoint for name, template in templates.items()}
    except ConfigurationInvalid as invalid:
        faults += invalid.faults
        endpoints = {Path(file).stem: "render" for file in texts if not file.endswith(".txt")}
    for index, site in enumerate(settings.sites):
        if message := _policy_fault(site.policy, endpoints):
            faults.append(Fault(path=f"sites[{index}].policy", message=message))
    if faults:
        raise ConfigurationInvalid(faults)
    return texts


def read_clients(settings: Settings) -> str:
    """The text of the file of clients, "" where there is none. Raises ConfigurationInvalid with all faults."""
    if not settings.clients:
        return ""
    text = _text(Path(settings.clients))
    load_clients(text, file=settings.clients)
    return text


def read_admin_tokens(settings: Settings) -> tuple[AdminToken, ...]:
    """The tokens of the admin API, none where it is off. Raises ConfigurationInvalid with all faults."""
    path = settings.admin.tokens
    advice = "; `countermark admin token new` makes an entry"
    return load_tokens(_text(Path(path), advice), file=path) if path else ()


def policy_texts(path: Path) -> dict[str, str]:
    """The texts of a template, or of a folder of them, by file name, and of the lists of networks beside them.

    Raises ConfigurationInvalid for what cannot be read.
    """
    folder, chosen = (path, None) if path.is_dir() else (path.parent, path)
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix in (".yaml", ".yml", ".txt"))
    except OSError as error:
        fault = Fault(path="", file=str(path), message=f"cannot be read: {error.strerror or error}")
        raise ConfigurationInvalid([fault]) from None
    wanted = [file for file in files if chosen is None or file.suffix == ".txt"] + ([chosen] if chosen else [])
    return {str(file): _text(file, limit=MAX_LIST_BYTES if file.suffix == ".txt" else MAX_BYTES) for file in wanted}


def _policy_fault(name: str, endpoints: Mapping[str, str]) -> str:
    if not name:
        return ""
    if name not in endpoints:
        known = f"; there is {', '.join(sorted(endpoints)[:8])}" if endpoints else "; there is none"
        return f"no policy is called {name[:80]!r}{suggestion(name, endpoints) or known}"
    endpoint = endpoints[name]
    return "" if endpoint == "render" else f"{name} is for {endpoint}; a site shows pictures and takes one for render"


def _secret(path: Path) -> str:
    return _text(path).removesuffix("\n").removesuffix("\r")


def _text(path: Path, advice: str = "", *, limit: int = MAX_BYTES) -> str:
    """A file's text; at most one byte too much is read of it, so that an endless file costs no memory."""
    try:
        with path.open("rb") as file:
            return decode(file.read(limit + 1), file=str(path), limit=limit)
    except OSError as error:
        fault = Fault(path="", file=str(path), message=f"cannot be read: {error.strerror or error}{advice}")
        raise ConfigurationInvalid([fault]) from None
