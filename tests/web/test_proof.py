"""What a hop must show, and what others show in vain."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from countermark.keys.keyring import Key, Keyring
from countermark.settings.model import SiteSettings
from countermark.signing.primitives import sign
from countermark.signing.realm import realm_of
from countermark.signing.rfc9421 import read_input, signature_base
from countermark.web.proof import ClientCertificate, Message, MessageSigned, SharedSecret
from tests.signing.scene import edge

NOW = 1_764_000_000
START = datetime.fromtimestamp(NOW, UTC)
OLD, NEW = "the old secret of the edge", "the new secret of the edge"
TARGET = "/shop/a%2Fcat.jpg?w=80"


def message(headers: dict[str, str], *, target: str = TARGET, method: str = "GET", now: float = NOW) -> Message:
    return Message(headers, method, "img.example.com", target, now)


def test_either_of_two_secrets_proves_a_hop() -> None:
    """While they are changed, the edge may send the one or the other."""
    proof = SharedSecret("X-Edge-Secret", (OLD, NEW))
    assert proof.holds(message({"x-edge-secret": OLD}))
    assert proof.holds(message({"x-edge-secret": NEW}))


@pytest.mark.parametrize("given", ["", OLD[:-1], OLD.upper(), f"{OLD}, {OLD}", f"{OLD},{NEW}", "\udcff", "ключ"])
def test_no_other_text_proves_it(given: str) -> None:
    """Parts, other letters, the secret twice, bytes that are no text."""
    assert not SharedSecret("X-Edge-Secret", (OLD, NEW)).holds(message({"x-edge-secret": given}))
    assert not SharedSecret("X-Edge-Secret", (OLD, NEW)).holds(message({"x-other": OLD}))


class Issuer:
    """An authority of the test's own, and the certificates that it issues."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self.issue(self.name, self.key)

    def issue(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 10) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(7).not_valid_before(START - timedelta(days=1))
        return builder.not_valid_after(START + timedelta(days=days)).sign(self.key, hashes.SHA256())

    def client(self, days: int = 10) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge")])
        return self.issue(name, ec.generate_private_key(ec.SECP256R1()), days)


def handed_on(certificate: x509.Certificate) -> dict[str, str]:
    """As a TLS terminator writes it, RFC 9440 §2.2."""
    return {"client-cert": f":{b64encode(certificate.public_bytes(Encoding.DER)).decode()}:"}


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer("our authority")


def test_a_certificate_is_known_by_its_fingerprint(issuer: Issuer) -> None:
    """With or without colons; another certificate of the same authority is another client."""
    ours, other = issuer.client(), issuer.client()
    digest = hashlib.sha256(ours.public_bytes(Encoding.DER)).digest()
    for text in (digest.hex(), digest.hex(":").upper()):
        proof = ClientCertificate([text])
        assert proof.holds(message(handed_on(ours)))
        assert not proof.holds(message(handed_on(other)))


def test_a_certificate_is_known_by_its_authority(issuer: Issuer) -> None:
    """By the authority's signature: its name on a certificate proves nothing."""
    proof = ClientCertificate(authorities=[Issuer("some other").certificate, issuer.certificate])
    assert proof.holds(message(handed_on(issuer.client())))
    assert not proof.holds(message(handed_on(Issuer("our authority").client())))


def test_a_certificate_counts_within_its_dates_only(issuer: Issuer) -> None:
    """Also where it was seen before."""
    proof = ClientCertificate(authorities=[issuer.certificate])
    fields = handed_on(issuer.client(days=1))
    assert proof.holds(message(fields))
    assert not proof.holds(message(fields, now=NOW + 2 * 86_400))
    assert not proof.holds(message(fields, now=NOW - 2 * 86_400))


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: f":{b64encode(data).decode()}:"))
def test_no_field_raises(text: str) -> None:
    """What is no certificate proves nothing."""
    assert not ClientCertificate(["0" * 64]).holds(message({"client-cert": text}))


KEY = Key(id="edge-1", dialect="rfc9421", algorithm="hmac-sha256", material=bytes(range(32)), sites=("edge",))
COVERED = '("@method" "@authority" "@path" "@query" "cf-connecting-ip")'


def signature_proof() -> MessageSigned:
    options = {"fields": ("cf-connecting-ip",)}
    site = SiteSettings(name="edge", origin="", accept=("rfc9421",), dialects={"rfc9421": options})
    return MessageSigned(realm_of(site), Keyring([KEY]))


def signed(covered: str = COVERED, key: Key = KEY, tag: str = "cdn-to-gateway") -> dict[str, str]:
    """The fields of a request that the edge has signed, with the client that it names."""
    fields = {"cf-connecting-ip": "198.51.100.7"}
    text = f'{covered};created={NOW};expires={NOW + 60};keyid="{key.id}";tag="{tag}"'
    request = edge(TARGET, headers=fields, host="img.example.com", waive=frozenset({"encoded-slash"}))
    base = signature_base(read_input(f"edge={text}"), request)
    signature = b64encode(sign(key, base.encode())).decode()
    return {**fields, "signature-input": f"edge={text}", "signature": f"edge=:{signature}:"}


def test_a_signed_message_proves_its_hop() -> None:
    """Whatever the site's own rules for its target are."""
    assert signature_proof().holds(message(signed()))


def test_a_repeated_signature_cannot_name_another_client() -> None:
    """The fields that the hop is read by are signed with it, and so is the target."""
    proof = signature_proof()
    assert not proof.holds(message({**signed(), "cf-connecting-ip": "203.0.113.9"}))
    assert not proof.holds(message(signed(COVERED.replace(' "cf-connecting-ip"', ""))))
    assert not proof.holds(message(signed(), target="/shop/dog.jpg?w=80"))
    assert not proof.holds(message(signed(), method="HEAD"))
    assert not proof.holds(message(signed(), now=NOW + 61))


def test_only_a_key_of_the_hop_proves_it() -> None:
    """Neither another site's key nor a signature that was made for something else."""
    other = Key(id="edge-2", dialect="rfc9421", algorithm="hmac-sha256", material=bytes(32), sites=("shop",))
    assert not MessageSigned(signature_proof()._realm, Keyring([KEY, other])).holds(message(signed(key=other)))
    assert not signature_proof().holds(message(signed(tag="browser-to-gateway")))


@given(st.text(max_size=100), st.text(max_size=100), st.text(max_size=50))
def test_no_signature_raises(text: str, signature: str, target: str) -> None:
    """Nor does a target that nobody reads, or a host that is none."""
    fields = {"signature-input": text, "signature": signature}
    assert not signature_proof().holds(Message(fields, "GET", text, target, NOW))
    assert not signature_proof().holds(message({**signed(), **fields}, target=target))
