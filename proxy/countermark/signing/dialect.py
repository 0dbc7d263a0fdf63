"""What a dialect is: the plug by which another vendor's signed URLs are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from countermark.core.grant import Network
from countermark.core.request import EdgeRequest
from countermark.core.target import Pair
from countermark.keys.keyring import Algorithm, Key


class Realm(Struct, frozen=True, kw_only=True):
    """The side of a site that signing sees: its name, the audience signed into native URLs, its dialects in order."""

    site: str
    audience: str
    dialects: tuple[str, ...]
    options: Mapping[str, bool] = {}


class Denial(Struct, frozen=True, kw_only=True):
    """How a vendor says no: its status, and its body where it has one of its own (then `content_type` is set)."""

    status: int
    body: str = ""
    content_type: str = ""


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a dialect's signature covers, as data for the docs, `explain` and the policy lint."""

    title: str
    source: str
    algorithms: tuple[Algorithm, ...]
    signs_path: bool
    signs_query: bool
    signs_host: bool
    signs_method: bool
    expiry: bool
    address: bool
    prefix: bool
    key_ids: bool
    waivers: frozenset[str] = frozenset()


class Presented(Struct, frozen=True, kw_only=True):
    """Credentials as read from a request; nothing in it is believed yet.

    message     the signed bytes of a dialect with a real MAC or signature. For hashes that glue their parts and the
                secret together: the parts, one a line, so that two requests never share a message
    """

    signature: bytes
    key_id: str
    path: str
    pairs: tuple[Pair, ...]
    message: bytes
    expires: int | None = None
    not_before: int | None = None
    address: Network | None = None
    preset: str = ""
    transform_hash: str = ""


class Dialect(Protocol):
    """One family of signed URLs: one line in `signing/table.py`.

    syntax      name of the URL syntax that reads the remaining pairs
    reserved    query names that belong to the dialect and never to an operation
    denials     the vendor's own answers by `CountermarkError.reason`; the house answers the rest
    """

    @property
    def name(self) -> str: ...

    @property
    def syntax(self) -> str: ...

    @property
    def reserved(self) -> frozenset[str]: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def denials(self) -> Mapping[str, Denial]: ...

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        """The credentials of this dialect, None where the request brings no signature of it.

        Raises ParameterUnknown, ParameterInvalid, TargetMalformed, TransformRefused or SignatureInvalid.
        """
        ...

    def holds(self, presented: Presented, key: Key) -> bool:
        """Whether the signature is this key's, compared in constant time."""
        ...

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        """Name and text of what is signed, in order, for people; the place of a glued secret is shown as {secret}."""
        ...
