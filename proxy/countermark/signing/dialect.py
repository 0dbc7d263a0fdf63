"""What a dialect is: the plug by which another vendor's signed URLs are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from countermark.core.errors import ParameterInvalid
from countermark.core.grant import Network
from countermark.core.request import Address, EdgeRequest
from countermark.core.target import Pair, Target
from countermark.keys.keyring import Algorithm, Key
from countermark.keys.material import Form
from countermark.settings.option import Option, Value


class Realm(Struct, frozen=True, kw_only=True):
    """The side of a site that signing sees: its name, the audience signed into native URLs, its dialects in order.

    prefix     path prefix of the site, with a slash at both ends; a dialect that signs path segments reads what follows
    options    by dialect and name, defaults filled in (`signing/realm.py`)
    base_url   scheme and host as the viewer sees them, without a slash at the end, for dialects that sign them; "" where
               the settings do not say
    sources    URL prefixes, each with a slash at its end, that mean this site's origin
    outer      the dialect that each request must pass too, by cookies or header fields; "" for none
    """

    site: str
    audience: str
    dialects: tuple[str, ...]
    prefix: str = "/"
    options: Mapping[str, Mapping[str, Value]] = {}
    base_url: str = ""
    sources: tuple[str, ...] = ()
    outer: str = ""

    def option(self, dialect: str, name: str) -> Value:
        """The value of a declared option of one of the realm's dialects."""
        return self.options[dialect][name]

    def behind_prefix(self, path: str) -> str | None:
        """The rest of a raw path behind the site's prefix, without a leading slash; None where it lies elsewhere."""
        return path[len(self.prefix) :] if path.startswith(self.prefix) else None

    def flag(self, dialect: str, name: str) -> bool:
        """A bool option."""
        return self.options[dialect][name] is True

    def text(self, dialect: str, name: str) -> str:
        """A str option."""
        value = self.options[dialect][name]
        assert isinstance(value, str), name
        return value

    def number(self, dialect: str, name: str) -> int:
        """An int option."""
        value = self.options[dialect][name]
        assert isinstance(value, int), name
        return value

    def texts(self, dialect: str, name: str) -> tuple[str, ...]:
        """A list option."""
        value = self.options[dialect][name]
        assert isinstance(value, tuple), name
        return value


class Denial(Struct, frozen=True, kw_only=True):
    """How a vendor says no: its status, and its body where it has one of its own (then `content_type` is set).

    In the body, {instance} stands for the raw path and {detail} for the house's sentence; both are filled in with JSON's
    escapes.
    """

    status: int
    body: str = ""
    content_type: str = ""


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a dialect's signature covers and what its keys look like, as data for the docs, `explain` and the policy lint.

    page           the hand-written page, docs/dialects/PAGE.md
    forms          fields of the keyring file that may hold a key's secret, the usual one first
    least_secret   bytes of the shortest shared secret; the bound is the vendor's where it is lower than 32
    salted         whether a key has a salt beside its secret
    private_once   whether the vendor shows a new private key once and keeps the public half alone
    signs_base_url  whether every signature covers scheme and host, so that a site must have a `base_url`
    unminted       why no URL can be signed in it, in a sentence for whoever asked for one; "" where one can
    waivers        rules of core/target.py that the vendor's URLs cannot keep
    cookies        names of the cookies that may carry its credentials
    headers        lower-case names of the header fields that may
    binds          further facts that it can sign, named as policies name them: not_before, issued, preset, once …
    """

    title: str
    page: str
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
    forms: tuple[Form, ...] = ("secret",)
    least_secret: int = 32
    salted: bool = False
    private_once: bool = False
    signs_base_url: bool = False
    unminted: str = ""
    waivers: frozenset[str] = frozenset()
    cookies: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()
    binds: frozenset[str] = frozenset()


class Presented(Struct, frozen=True, kw_only=True):
    """Credentials as read from a request; nothing in it is believed yet.

    message     the signed bytes of a dialect with a real MAC or signature. For hashes that glue their parts and the
                secret together: the parts, one a line, so that two requests never share a message
    texts       where several texts may have been signed, all of them; `message` then is what identifies the grant
    pairs       what the URL syntax reads. They need not stand in the query: a dialect whose operations are path segments
                makes them up, `rs:fill:300:300` becoming Pair("rs", "fill:300:300", "rs:fill:300:300"), and names a
                syntax of its own in imaging/syntax/table.py that reads such pairs
    source, issued, once, client_id, user, session, jti, context, countries, blocked_countries, exclusive_expiry, cache_life,
    from_headers, confidence  as in `Claims`
    """

    signature: bytes
    key_id: str
    path: str
    pairs: tuple[Pair, ...]
    message: bytes
    texts: tuple[bytes, ...] = ()
    expires: int | None = None
    not_before: int | None = None
    address: Network | None = None
    preset: str = ""
    transform_hash: str = ""
    source: str = ""
    issued: int | None = None
    once: str = ""
    client_id: str = ""
    user: str = ""
    session: str = ""
    jti: str = ""
    context: str = ""
    countries: frozenset[str] = frozenset()
    blocked_countries: frozenset[str] = frozenset()
    exclusive_expiry: bool = False
    cache_life: int = 0
    from_headers: bool = False
    confidence: frozenset[str] = frozenset()


class MintOrder(Struct, frozen=True, kw_only=True):
    """What a new URL shall say. Times are unix seconds; `extras` are the vendor's own words, by name.

    `nonce` is a new random text of letters and digits, for dialects whose URLs are told apart; "" where nobody made one.
    """

    now: int
    expires: int
    not_before: int | None = None
    address: Address | Network | None = None
    extras: Mapping[str, str] = {}
    nonce: str = ""


class Dialect(Protocol):
    """One family of signed URLs: one line in `signing/table.py`.

    What a signature covers beyond one path (a prefix, globs, an ACL) is checked in `read`, which fails with
    SignatureInvalid for a path outside of it.

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
    def options(self) -> tuple[Option, ...]: ...

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

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        """The signed target, path and query, of this unsigned one; what `read` takes.

        Raises ParameterInvalid for an order that the dialect cannot fill, ConfigurationInvalid where the key cannot sign.
        It is not checked against dates and lives; pass it through `authenticate` to know that it will be taken.
        """
        ...


def refuse_unfillable(dialect: str, order: MintOrder, *, takes: frozenset[str] = frozenset()) -> None:
    """Refuse what this dialect cannot say. `takes` names what it can: not_before, address, and names of extras."""
    wanted = {name for name in ("not_before", "address") if getattr(order, name) is not None} | order.extras.keys()
    if wanted - takes:
        able = f"can sign {', '.join(sorted(takes))}" if takes else "takes nothing but its own expiry"
        raise ParameterInvalid(f"{dialect} cannot sign {', '.join(sorted(wanted - takes))} into a URL; it {able}.")


def refuse_reserved(target: Target, reserved: frozenset[str]) -> None:
    """Refuse to sign over parameters that the signer writes itself."""
    present = sorted({pair.name for pair in target.pairs} & reserved)
    if present:
        raise ParameterInvalid(f"These parameters are written by the signer: {', '.join(present)}.")
