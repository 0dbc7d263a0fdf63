"""HTTP Message Signatures (RFC 9421) in one profile: a CDN proves to the gateway that the request came through it.

    Signature-Input: edge=("@method" "@authority" "@path" "@query");created=…;expires=…;keyid="…";tag="cdn-to-gateway"
    Signature: edge=:{base64}:

One signature a request. It covers at least method, authority, path and query, and header fields by their names; `created`,
`expires` (300 seconds later at most), `keyid` and `tag` are required, `nonce` may be there, `alg` must be the key's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from countermark.core.encoding import read_base64
from countermark.core.errors import ParameterInvalid, SignatureInvalid
from countermark.core.request import EdgeRequest
from countermark.core.target import Target
from countermark.keys.keyring import Key
from countermark.settings.option import Option
from countermark.signing.dialect import Capabilities, Denial, MintOrder, Presented, Realm
from countermark.signing.expiry import read_delimited
from countermark.signing.primitives import holds

MAX_FIELD = 2048
MAX_LIFE = 300

_REQUIRED = frozenset({"@method", "@authority", "@path", "@query"})
_ALGORITHMS = {"hmac-sha256": "hmac-sha256", "ed25519": "ed25519"}
# RFC 8941 in the one spelling that its serialisation has (§4.1), as far as the profile needs it.
_LABEL = r"[a-z*][a-z0-9_.*-]{0,31}"
_NAME = r'"@?[a-z0-9!#$%&\'*+.^_`|~-]{1,64}"'
_VALUE = r'(?:[0-9]{1,10}|"[ !#-\[\]-~]{0,128}")'
_INPUT = re.compile(rf"({_LABEL})=(\(({_NAME}(?: {_NAME})*)\)((?:;[a-z]{{1,16}}={_VALUE})+))")
_SIGNATURE = re.compile(rf"({_LABEL})=:([A-Za-z0-9+/=]{{1,1024}}):")
_PARAMETER = re.compile(r";([a-z]{1,16})=([^;\"]+|\"[^\"]*\")")
_TEXT = re.compile(r"[\t -~]*")
_PARAMETERS = frozenset({"created", "expires", "nonce", "keyid", "alg", "tag"})


class Input(Struct, frozen=True, kw_only=True):
    """A Signature-Input field: its label, what it covers, its parameters, and the text that is signed as it stands."""

    label: str
    components: tuple[str, ...]
    parameters: Mapping[str, str]
    text: str


class MessageSignature:
    """Reads what a CDN has signed."""

    name = "rfc9421"
    syntax = "native"
    reserved: frozenset[str] = frozenset()
    denials: Mapping[str, Denial] = {}
    options: tuple[Option, ...] = (
        Option(
            name="tag", kind="str", default="cdn-to-gateway", sentence="The tag that says what the signature is for."
        ),
        Option(
            name="fields",
            kind="list",
            default=(),
            sentence="Header fields, in lower case, that must be signed besides method, authority, path and query.",
        ),
    )
    capabilities = Capabilities(
        title="HTTP Message Signatures, from a CDN to the gateway",
        page="rfc9421",
        source="https://www.rfc-editor.org/rfc/rfc9421",
        algorithms=("hmac-sha256", "ed25519"),
        signs_path=True,
        signs_query=True,
        signs_host=True,
        signs_method=True,
        expiry=True,
        address=False,
        prefix=False,
        key_ids=True,
        binds=frozenset({"issued"}),
        forms=("secret", "base64_secret"),
        headers=frozenset({"signature", "signature-input"}),
        unminted="A message signature is no part of a URL; the CDN signs each of its requests.",
    )

    def read(self, request: EdgeRequest, realm: Realm) -> Presented | None:
        headers = request.headers
        if "signature" not in headers and "signature-input" not in headers:
            return None
        found = read_input(headers.get("signature-input", ""))
        signature = _signature(headers.get("signature", ""), found.label)
        if not _REQUIRED.union(realm.texts(self.name, "fields")) <= set(found.components):
            raise ParameterInvalid(
                "The signature does not cover what it must: method, authority, path, query and more."
            )
        parameters = found.parameters
        if parameters.get("tag") != realm.text(self.name, "tag"):
            raise ParameterInvalid("The signature's tag is not the one that is expected here.")
        created = read_delimited("created", parameters.get("created", ""))
        expires = read_delimited("expires", parameters.get("expires", ""))
        if not created < expires <= created + MAX_LIFE:
            raise ParameterInvalid(f"expires must be 1 to {MAX_LIFE} seconds behind created.")
        return Presented(
            signature=signature,
            key_id=parameters.get("keyid", ""),
            path=request.target.path,
            pairs=request.target.pairs,
            message=f"{parameters.get('alg', '')}\n{signature_base(found, request)}".encode(),
            issued=created,
            expires=expires,
            from_headers=True,
        )

    def holds(self, presented: Presented, key: Key) -> bool:
        named, _, base = presented.message.partition(b"\n")
        # `alg` may repeat the key's algorithm and never chooses it (algorithm confusion).
        if key.algorithm not in _ALGORITHMS or named.decode() not in ("", _ALGORITHMS[key.algorithm]):
            return False
        return holds(key, base, presented.signature)

    def parts(self, presented: Presented) -> tuple[tuple[str, str], ...]:
        lines = presented.message.decode().split("\n")[1:]
        return tuple((name.strip('"'), text) for name, _, text in (line.partition(": ") for line in lines))

    def mint(self, target: Target, realm: Realm, key: Key, order: MintOrder) -> str:
        raise ParameterInvalid(self.capabilities.unminted)


def read_input(text: str) -> Input:
    """A Signature-Input field with one signature. Raises ParameterInvalid."""
    found = _INPUT.fullmatch(text) if len(text) <= MAX_FIELD else None
    if found is None:
        raise ParameterInvalid("Signature-Input must hold one signature's components and parameters (RFC 9421 §4.1).")
    components = tuple(name.strip('"') for name in found[3].split(" "))
    pairs = _PARAMETER.findall(found[4])
    parameters = {name: value.strip('"') for name, value in pairs}
    # Which of two equal names counts is what readers disagree on; a parameter that is not known may be a limit.
    if len(parameters) != len(pairs) or not parameters.keys() <= _PARAMETERS or len(set(components)) != len(components):
        raise ParameterInvalid("Signature-Input names something twice, or a parameter that is not known.")
    return Input(label=found[1], components=components, parameters=parameters, text=found[2])


def signature_base(found: Input, request: EdgeRequest) -> str:
    """The signed text (RFC 9421 §2.5). Raises SignatureInvalid where a component is not in the request."""
    lines = [f'"{name}": {_component(name, request)}' for name in found.components]
    return "\n".join([*lines, f'"@signature-params": {found.text}'])


def _component(name: str, request: EdgeRequest) -> str:
    if not name.startswith("@"):
        value = request.headers.get(name)
    else:
        target = request.target
        derived = {"@method": request.method, "@authority": request.host, "@path": target.path}
        value = {**derived, "@query": f"?{target.query or ''}"}.get(name)
    # A line break in a value would write further lines of the signed text; bytes beyond ASCII have no one text.
    if value is None or not _TEXT.fullmatch(value):
        raise SignatureInvalid("The signature covers a component that this request does not have.", private=name)
    return value


def _signature(text: str, label: str) -> bytes:
    found = _SIGNATURE.fullmatch(text)
    signature = read_base64(found[2]) if found is not None and found[1] == label else None
    if signature is None:
        raise SignatureInvalid("Signature must hold one signature, under the label of Signature-Input.")
    return signature
