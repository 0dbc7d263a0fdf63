"""The keyring file: a YAML list with one entry a key.

    - id: k1                       # 1 to 64 of A-Z a-z 0-9 . _ -
      dialect: native              # the default
      algorithm: hmac-sha256       # the dialect's first is the default
      secret: …                    # base64url without padding; at least 256 bits for native HMAC
      sites: [shop]                # default: every site
      state: active                # pending, active, retiring (verifies only) or revoked
      not_before: 2026-01-01T00:00:00Z    # or unix seconds; not_after likewise
      max_life: 7d                 # longest life of a signature, counted from when it is used
      since: 2026-01-01T00:00:00Z  # when it came into this state; `countermark keys rotate` writes it
      uses: once                   # it signs one grant: the first of its URLs that is opened spends it

An MD5 key's signatures live one hour at most; `unsafe_max_life` in the place of `max_life` lets them live longer.

A vendor's key is written as the vendor shows it, in one of `secret`, `text_secret` (the characters themselves),
`hex_secret` and `base64_secret` (with padding, in either alphabet), whichever its dialect takes; `salt_hex` stands beside
it where the dialect has a salt. A key pair has `public` (and `private`, where we may sign): base64url of 32 raw bytes for
Ed25519, base64 DER for the others; or `public_pem` and `private_pem`. Every scalar is read as the text that stands there:
no key id turns into a number or a date. In the place of the secret, or of `private`, there may be `sealed`: the same as
`keys/sealed.py` seals it. The file keeps the bounds of `settings/document.py`: 256 KiB, no aliases, no tags.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from msgspec import Struct
from msgspec.structs import replace

from countermark.core.encoding import base64, base64url
from countermark.core.errors import ConfigurationInvalid, Fault, KmsUnavailable
from countermark.keys.keyring import (
    HASHES,
    MAX_CANDIDATES,
    MAX_PUBLIC_CANDIDATES,
    MD5,
    MD5_LIFE,
    SEALING,
    TOKENS,
    Algorithm,
    Key,
    Keyring,
    State,
    usual_life,
)
from countermark.keys.material import PAIRS, Form, public_of, read_form, read_half
from countermark.keys.sealed import KeyWrapper, binding, open_sealed
from countermark.settings.document import Entries, Items, Node, Place, Scalar, parse
from countermark.settings.units import format_duration, format_moment, parse_life, parse_moment

MAX_LIFE = 3660 * 86_400

_FORMS: tuple[Form, ...] = get_args(Form)
_PAIRS = ("public", "private", "public_pem", "private_pem")
_FIELDS = frozenset(
    {
        "id",
        "dialect",
        "algorithm",
        "salt_hex",
        "sites",
        "state",
        "not_before",
        "not_after",
        "max_life",
        "unsafe_max_life",
        "since",
        "uses",
        "sealed",
        *_FORMS,
        *_PAIRS,
    }
)
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PLAIN_TEXT = re.compile(rb"[ -~]+")
_QUOTED = re.compile(r"['\"].*['\"]|['\"].*|\(\*.*\)", re.DOTALL)
_NAME = re.compile(r"[a-z_]{1,24}")
_SITE = re.compile(r"\*|[a-z0-9][a-z0-9_-]{0,62}")
_STATES = get_args(State)

_SPELLINGS: Mapping[Form, str] = {
    "secret": "base64url without padding",
    "text_secret": "plain text",
    "hex_secret": "an even number of hexadecimal digits",
    "base64_secret": "base64 with padding",
}


class KeyUse(Struct, frozen=True, kw_only=True):
    """What a dialect wants of its keys: algorithms (the first is the default), and whether its URLs carry key ids.

    `forms` are the fields that may hold a shared secret, `least_secret` its least length in bytes, or with `exact` its only
    one; `salted` keys have a `salt_hex`. `private_once`: whoever makes a key pair is shown its private half once, and the
    file keeps the public one.
    """

    algorithms: tuple[Algorithm, ...]
    key_ids: bool
    forms: tuple[Form, ...] = ("secret",)
    least_secret: int = 32
    exact: bool = False
    salted: bool = False
    private_once: bool = False


OWN_USES: Mapping[str, KeyUse] = {SEALING: KeyUse(algorithms=("aes-256-gcm",), key_ids=True, exact=True)}
"""Keys that are no signature dialect's."""


def load(text: str, *, file: str, uses: Mapping[str, KeyUse], wrapper: KeyWrapper | None = None) -> Keyring:
    """Read a keyring file. `uses` says which dialects exist, `wrapper` opens what is sealed.

    Raises ConfigurationInvalid with every fault.
    """
    reading = _Reading(file, uses, wrapper)
    root = reading.tree(text)
    keys = reading.entries(root) if root is not None else []
    if reading.faults:
        raise ConfigurationInvalid(reading.faults)
    return Keyring(keys)


def render(key: Key, sealed: str = "") -> str:
    """A key as an entry of the file; several of them after one another are a keyring file.

    Its secret, or private half, is included unless `sealed` stands for it.
    """
    lines = [f"- id: {key.id}", f"  dialect: {key.dialect}", f"  algorithm: {key.algorithm}"]
    lines += _render_sealed(key, sealed) if sealed else _render_material(key)
    if key.sites != ("*",):
        lines.append(f"  sites: [{', '.join(key.sites)}]")
    if key.state != "active":
        lines.append(f"  state: {key.state}")
    if key.since is not None:
        lines.append(f"  since: {format_moment(key.since)}")
    if key.not_before is not None:
        lines.append(f"  not_before: {format_moment(key.not_before)}")
    if key.not_after is not None:
        lines.append(f"  not_after: {format_moment(key.not_after)}")
    waived = key.algorithm in MD5 and key.max_life > MD5_LIFE
    lines.append(f"  {'unsafe_max_life' if waived else 'max_life'}: {format_duration(key.max_life)}")
    if key.once:
        lines.append("  uses: once")
    return "\n".join(lines) + "\n"


def _render_sealed(key: Key, sealed: str) -> list[str]:
    lines = [f"  public: {_spelling(key)(key.material)}"] if key.algorithm in PAIRS else []
    lines.append(f"  sealed: {sealed}")
    return [*lines, f"  salt_hex: {key.salt.hex()}"] if key.salt else lines


def _spelling(key: Key) -> Callable[[bytes], str]:
    return base64url if key.algorithm == "ed25519" else base64


def _render_material(key: Key) -> list[str]:
    if key.algorithm in PAIRS:
        written = _spelling(key)
        lines = [f"  public: {written(key.material)}"]
        if key.private:
            lines.append(f"  private: {written(key.private)}  # only whoever signs needs this line")
        return lines
    if (key.algorithm in HASHES or key.algorithm in TOKENS) and _PLAIN_TEXT.fullmatch(key.material):
        # A JSON string is a YAML string too, whatever stands in it.
        lines = [f"  text_secret: {json.dumps(key.material.decode())}"]
    else:
        lines = [f"  secret: {base64url(key.material)}"]
    return [*lines, f"  salt_hex: {key.salt.hex()}"] if key.salt else lines


class _Reading:
    """One pass over a file: collects the faults, so that all of them are told at once."""

    def __init__(self, file: str, uses: Mapping[str, KeyUse], wrapper: KeyWrapper | None) -> None:
        self.wrapper = wrapper
        self.file = file
        self.uses = uses
        self.faults: list[Fault] = []

    def fault(self, place: Place, path: str, message: str) -> None:
        self.faults.append(Fault(path=path, message=message, file=place.file, line=place.line, column=place.column))

    def tree(self, text: str) -> Node | None:
        try:
            return parse(text, file=self.file)
        except ConfigurationInvalid as refused:
            # What the reader quotes may be a secret, such as one that starts with a YAML sign.
            self.faults += [replace(fault, message=_QUOTED.sub("…", fault.message)) for fault in refused.faults]
            return None

    def entries(self, root: Node) -> list[Key]:
        if isinstance(root, Entries) and not root.nodes:
            return []
        if not isinstance(root, Items):
            self.fault(root.place, "", "a keyring file is a list of keys, each starting with '- id: …'")
            return []
        keys: list[Key] = []
        for number, node in enumerate(root.nodes):
            fields = self.mapping(node, f"[{number}]")
            key = _Entry(self, node.place, f"[{number}]", fields).key() if fields is not None else None
            if key is not None:
                self.compare(node.place, key, keys)
                keys.append(key)
        return keys

    def mapping(self, node: Node, path: str) -> dict[str, Node] | None:
        if not isinstance(node, Entries):
            self.fault(node.place, path, "must be a mapping with an id and a secret")
            return None
        for name in node.nodes:
            if name in _FIELDS:
                continue
            shown = name if _NAME.fullmatch(name) else "this"
            message = f"{shown} is no field of a key; there are {', '.join(sorted(_FIELDS))}"
            self.fault(node.key_places[name], path, message)
        return {name: value for name, value in node.nodes.items() if name in _FIELDS}

    def compare(self, place: Place, key: Key, others: list[Key]) -> None:
        for other in others:
            if other.id == key.id:
                self.fault(place, key.id, "another key has the same id")
            # One secret in two dialects lets a token of the one be presented as a token of the other.
            if other.material == key.material:
                self.fault(place, key.id, f"has the same secret as {other.id}; each key needs its own")
        use = self.uses[key.dialect]
        if use.key_ids:
            return
        met = [other for other in others if _meet(key, other)]
        if len(met) >= MAX_CANDIDATES:
            self.fault(place, key.id, f"more than {MAX_CANDIDATES} keys of {key.dialect} for the same site")
        # Each of them is a whole public-key operation for every signature that a stranger makes up.
        if key.algorithm in PAIRS and sum(other.algorithm in PAIRS for other in met) >= MAX_PUBLIC_CANDIDATES:
            self.fault(place, key.id, f"more than {MAX_PUBLIC_CANDIDATES} key pairs of {key.dialect} for the same site")


def _meet(key: Key, other: Key) -> bool:
    """Whether both keys are tried for some URL."""
    if key.dialect != other.dialect:
        return False
    return "*" in key.sites or "*" in other.sites or not set(key.sites).isdisjoint(other.sites)


class _Entry:
    """One entry of the file on its way to a Key. Faults never quote a value: it may be a misplaced secret."""

    def __init__(self, reading: _Reading, place: Place, path: str, fields: dict[str, Node]) -> None:
        self.reading = reading
        self.place = place
        self.path = path
        self.fields = fields
        self.opened = b""

    def key(self) -> Key | None:
        before = len(self.reading.faults)
        key_id = self.text("id", default="")
        if not _ID.fullmatch(key_id):
            self.fault("id", "is required: 1 to 64 of A-Z a-z 0-9 . _ -")
        else:
            self.path = key_id
        values: dict[str, Any] = {"id": key_id, "dialect": self.text("dialect", default="native")}
        use = self.reading.uses.get(values["dialect"])
        if use is None:
            self.fault("dialect", f"no such dialect; there are {', '.join(sorted(self.reading.uses))}")
        else:
            self.dates(values)
            values["algorithm"] = self.choice("algorithm", use.algorithms)
            self.opened = self.unsealed(values, before)
            values["material"], values["private"] = self.material(values["algorithm"], use)
            values["salt"] = self.salt(use)
        values["sites"] = self.sites()
        values["state"] = self.choice("state", _STATES, default="active")
        values["once"] = self.choice("uses", ("many", "once")) == "once"
        values["max_life"] = self.max_life(values.get("algorithm", ""))
        return Key(**values) if len(self.reading.faults) == before else None

    def fault(self, field: str, message: str) -> None:
        place = self.fields[field].place if field in self.fields else self.place
        self.reading.fault(place, f"{self.path}.{field}", message)

    def text(self, field: str, *, default: str) -> str:
        node = self.fields.get(field)
        if node is None:
            return default
        if not isinstance(node, Scalar):
            self.fault(field, "must be one value")
            return default
        return node.text

    def choice(self, field: str, choices: tuple[str, ...], *, default: str = "") -> str:
        chosen = self.text(field, default=default or choices[0])
        if chosen not in choices:
            self.fault(field, f"must be one of {', '.join(choices)}")
        return chosen

    def material(self, algorithm: str, use: KeyUse) -> tuple[bytes, bytes]:
        if algorithm in PAIRS:
            return self.key_pair(algorithm)
        return self.shared_secret(algorithm, use), b""

    def unsealed(self, values: dict[str, Any], before: int) -> bytes:
        """The secret or private half that is sealed here, nothing where none is or where it does not open."""
        if "sealed" not in self.fields:
            return b""
        self.refuse((*_FORMS, "private", "private_pem"), "sealed stands here already")
        if len(self.reading.faults) > before:
            return b""
        if self.reading.wrapper is None:
            self.fault("sealed", "needs the setting kms, which says who opens it")
            return b""
        try:
            return open_sealed(self.text("sealed", default=""), binding(**values), self.reading.wrapper)
        except KmsUnavailable as error:
            self.fault("sealed", f"cannot be opened: {error.detail}")
        except ValueError as error:
            self.fault("sealed", str(error))
        return b""

    def shared_secret(self, algorithm: str, use: KeyUse) -> bytes:
        self.refuse(_PAIRS, f"{algorithm} has a shared secret")
        if "sealed" in self.fields:
            return self.checked("sealed", self.opened, algorithm, use) if self.opened else b""
        written = [form for form in _FORMS if form in self.fields]
        if not written:
            self.fault(use.forms[0], "is required")
            return b""
        form = written[-1]
        self.refuse(tuple(written[:-1]), f"{form} stands here already")
        if form not in use.forms:
            self.fault(form, f"is for other dialects' keys; this one takes {' or '.join(use.forms)}")
            return b""
        secret = read_form(form, self.text(form, default=""))
        if not secret:
            self.fault(form, f"must be {_SPELLINGS[form]}")
            return b""
        return self.checked(form, secret, algorithm, use)

    def checked(self, form: str, secret: bytes, algorithm: str, use: KeyUse) -> bytes:
        """The secret, unless it is too short or too long."""
        least = use.least_secret
        if len(secret) < least:
            self.fault(form, f"is too short: {algorithm} takes at least {least} bytes ({least * 8} bits) here")
        elif use.exact and len(secret) > least:
            self.fault(form, f"is too long: {algorithm} takes {least} bytes ({least * 8} bits)")
        return secret

    def salt(self, use: KeyUse) -> bytes:
        if not use.salted:
            self.refuse(("salt_hex",), "this dialect has no salt")
            return b""
        salt = read_form("hex_secret", self.text("salt_hex", default=""))
        if not salt:
            self.fault("salt_hex", "is required: hexadecimal digits")
        return salt or b""

    def key_pair(self, algorithm: str) -> tuple[bytes, bytes]:
        self.refuse((*_FORMS, "salt_hex"), f"{algorithm} has public and private")
        for half in ("public", "private"):
            if half in self.fields:
                self.refuse((f"{half}_pem",), f"{half} stands here already")
        private = self.opened or self.half("private", algorithm)
        public = self.half("public", algorithm)
        if public is None and private is None and "public" not in self.fields and "public_pem" not in self.fields:
            self.fault("public", "is required")
        derived = public_of(algorithm, private) if private else b""
        if public and derived and public != derived:
            self.fault("public", "does not belong to the private key")
        return public or derived, private or b""

    def half(self, half: str, algorithm: str) -> bytes | None:
        """One half of a key pair, None where it is not there or has a fault."""
        field = half if half in self.fields else f"{half}_pem"
        if field not in self.fields:
            return None
        try:
            return read_half(half, algorithm, self.text(field, default=""), pem=field != half)
        except ValueError as error:
            self.fault(field, str(error))
            return None

    def refuse(self, fields: tuple[str, ...], reason: str) -> None:
        for field in fields:
            if field in self.fields:
                self.fault(field, f"does not belong here: {reason}")

    def sites(self) -> tuple[str, ...]:
        node = self.fields.get("sites")
        if node is None:
            return ("*",)
        items = node.nodes if isinstance(node, Items) else [node]
        names = tuple(item.text if isinstance(item, Scalar) else "" for item in items)
        if not names or not all(_SITE.fullmatch(name) for name in names):
            self.fault("sites", 'must be a list of site names, or "*"')
        return names

    def dates(self, values: dict[str, Any]) -> None:
        for field in ("since", "not_before", "not_after"):
            if field not in self.fields:
                continue
            try:
                values[field] = parse_moment(self.text(field, default=""))
            except ValueError:
                values[field] = None
                self.fault(field, "must be a time such as 2026-01-31T12:00:00Z, or unix seconds")
        first, last = values.get("not_before"), values.get("not_after")
        if first is not None and last is not None and last <= first:
            self.fault("not_after", "must be later than not_before")

    def max_life(self, algorithm: str) -> int:
        field = "max_life"
        if "unsafe_max_life" in self.fields:
            field = "unsafe_max_life"
            self.refuse(("max_life",), "unsafe_max_life stands here already")
            if algorithm not in MD5:
                self.fault(field, "is for MD5 keys; others have max_life")
        if field not in self.fields:
            return usual_life(algorithm)
        written = self.text(field, default="")
        try:
            life = parse_life(written)
        except ValueError:
            life = 0
        if not 0 < life <= MAX_LIFE:
            self.fault(field, f"must be a duration such as 15m, 12h or 7d, {MAX_LIFE // 86_400}d at most")
        elif field == "max_life" and algorithm in MD5 and life > MD5_LIFE:
            message = f"what MD5 signs may live one hour at most; to waive that, write unsafe_max_life: {written}"
            self.fault(field, message)
        return life
