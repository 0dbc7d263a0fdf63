"""The keyring file: all faults at once, each with its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countermark.core.encoding import base64url
from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.keys.keyfile import load, render
from countermark.keys.keyring import Key, Keyring
from countermark.settings.document import MAX_BYTES
from countermark.signing.table import KEY_USES

S1, S2 = base64url(bytes(range(32))), base64url(bytes(range(1, 33)))
# RFC 8032 §7.1, TEST 1.
PRIVATE = base64url(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
PUBLIC = base64url(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))


def read(text: str) -> Keyring:
    return load(text, file="keys.yaml", uses=KEY_USES)


def faults(text: str) -> tuple[Fault, ...]:
    with pytest.raises(ConfigurationInvalid) as refused:
        read(text)
    return refused.value.faults


def test_a_full_entry_is_read() -> None:
    """Every field means what the page says."""
    keyring = read(
        f"""
- id: k1
  dialect: native
  algorithm: hmac-sha256
  secret: {S1}
  sites: [shop, blog]
  state: retiring
  not_before: 2026-01-01T00:00:00Z
  not_after: 1800000000
  max_life: 12h
"""
    )
    assert keyring.keys == (
        Key(
            id="k1",
            dialect="native",
            algorithm="hmac-sha256",
            material=bytes(range(32)),
            sites=("shop", "blog"),
            state="retiring",
            not_before=1_767_225_600,
            not_after=1_800_000_000,
            max_life=43_200,
        ),
    )


def test_a_short_entry_has_sound_defaults() -> None:
    """An id and a secret are enough: native, HMAC, active, every site, seven days."""
    (key,) = read(f"- id: k1\n  secret: {S1}\n").keys
    assert (key.dialect, key.algorithm, key.state, key.sites) == ("native", "hmac-sha256", "active", ("*",))
    assert key.max_life == 7 * 86_400


def test_ids_and_secrets_stay_text() -> None:
    """What YAML would read as a number, a date or a truth value is still the text that stands there."""
    keyring = read(
        "- {id: 1e3, dialect: keycdn_image, text_secret: 2026-01-01}\n"
        '- {id: no, dialect: keycdn_access, text_secret: "0012345678"}\n'
    )
    assert [(key.id, key.material) for key in keyring.keys] == [("1e3", b"2026-01-01"), ("no", b"0012345678")]


def test_ed25519_takes_either_half() -> None:
    """A public key verifies; from a private one the public half follows."""
    keyring = read(f"- {{id: a, algorithm: ed25519, private: {PRIVATE}}}\n")
    assert base64url(keyring.keys[0].material) == PUBLIC
    assert base64url(keyring.keys[0].private) == PRIVATE
    (public,) = read(f"- {{id: a, algorithm: ed25519, public: {PUBLIC}}}").keys
    assert public.private == b""


def test_an_empty_file_is_an_empty_keyring() -> None:
    """Which opens nothing."""
    assert read("# nothing yet\n").keys == ()


def test_all_faults_are_told_with_their_places() -> None:
    """One reading lists everything that is wrong, by line and column."""
    found = faults(
        f"""- id: k1
  secret: {S1}
  colour: red
- id: k 2
  secret: c2hvcnQ
  state: sleeping
  max_life: forever
"""
    )
    assert [(fault.line, fault.column, fault.path) for fault in found] == [
        (3, 3, "[0]"),
        (4, 7, "[1].id"),
        (5, 11, "[1].secret"),
        (6, 10, "[1].state"),
        (7, 13, "[1].max_life"),
    ]
    assert all(fault.file == "keys.yaml" for fault in found)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("k1: x", ""),
        ("- k1", "[0]"),
        ("- {}", "[0].id"),
        ("- {id: k1}", "k1.secret"),
        ("- {id: k1, secret: 'AAAA='}", "k1.secret"),
        (f"- {{id: k1, secret: [{S1}]}}", "k1.secret"),
        (f"- {{id: k1, id: k1, secret: {S1}}}", ""),
        (f"- {{id: k1, dialect: telegraph, secret: {S1}}}", "k1.dialect"),
        (f"- {{id: k1, algorithm: md5, secret: {S1}}}", "k1.algorithm"),
        (f"- {{id: k1, secret: {base64url(bytes(31))}}}", "k1.secret"),
        (f"- {{id: k1, text_secret: {'x' * 64}}}", "k1.text_secret"),
        ("- {id: k1, dialect: keycdn_image, text_secret: 7letter}", "k1.text_secret"),
        (f"- {{id: k1, dialect: keycdn_image, text_secret: 12345678, secret: {S1}}}", "k1.secret"),
        (f"- {{id: k1, secret: {S1}, public: {PUBLIC}}}", "k1.public"),
        (f"- {{id: k1, algorithm: ed25519, secret: {S1}}}", "k1.secret"),
        ("- {id: k1, algorithm: ed25519}", "k1.public"),
        (f"- {{id: k1, algorithm: ed25519, public: {S1}, private: {PRIVATE}}}", "k1.public"),
        ("- {id: k1, algorithm: ed25519, public: AAAA}", "k1.public"),
        ("- {id: k1, algorithm: ed25519, private: AAAA}", "k1.private"),
        (f"- {{id: k1, secret: {S1}, sites: []}}", "k1.sites"),
        (f"- {{id: k1, secret: {S1}, sites: [Shop]}}", "k1.sites"),
        (f"- {{id: k1, secret: {S1}, sites: {{}}}}", "k1.sites"),
        (f"- {{id: k1, secret: {S1}, not_before: tomorrow}}", "k1.not_before"),
        (f"- {{id: k1, secret: {S1}, not_before: 2026-01-01T00:00:00}}", "k1.not_before"),
        (f"- {{id: k1, secret: {S1}, not_before: 2026-13-01T00:00:00Z}}", "k1.not_before"),
        (f"- {{id: k1, secret: {S1}, not_before: 20, not_after: 20}}", "k1.not_after"),
        (f"- {{id: k1, secret: {S1}, max_life: 0s}}", "k1.max_life"),
        (f"- {{id: k1, secret: {S1}, max_life: 500ms}}", "k1.max_life"),
        (f"- {{id: k1, secret: {S1}, max_life: 3661d}}", "k1.max_life"),
        (f"- {{id: k1, secret: {S1}}}\n- {{id: k1, secret: {S2}}}", "k1"),
        (f"- {{id: k1, secret: {S1}}}\n- {{id: k2, secret: {S1}}}", "k2"),
        (f"- {{id: k1, secret: {S1}}}\n- {{id: k2, dialect: keycdn_image, secret: {S1}}}", "k2"),
        ("- {id: k1", ""),
        ("- !!python/object:os.system {id: k1", ""),
        ("\t- x", ""),
        ("*unknown", ""),
        ("[" * 100_000, ""),
        ("{a: " * 50_000, ""),
        ("- " * 100_000, ""),
        (f"- &a [{'x,' * 100}]\n- [{'*a,' * 100}]", ""),
        ("a" * (MAX_BYTES + 1), ""),
    ],
)  # fmt: skip
def test_a_faulty_entry_is_refused(text: str, path: str) -> None:
    """Each fault names the entry and the field."""
    assert path in {fault.path for fault in faults(text)}


@pytest.mark.parametrize(
    "text",
    [
        "- {id: k1, secret: Sup3rS3cretThing!}",
        "- {Sup3rS3cretThing: x, Sup3rS3cretThing: y}",
        "- {id: k1, secret: x}\n- *Sup3rS3cretThing",
        "- {Sup3r'S3cretThing: x, Sup3r'S3cretThing: y}",
        "- {Sup3rS3cretThing: x}",
        "- {id: 'Sup3rS3cretThing '}",
        '- {id: "Sup3rS3cretThing',
        "- id: k1\n  text_secret: *Sup3rS3cretThing",
        "- id: k1\n  text_secret: !Sup3rS3cretThing!x y",
        "- id: k1\n  text_secret: &Sup3rS3cretThing",
        "- id: k1\n  text_secret: %Sup3rS3cretThing: y: z",
        "- id: k1\n  text_secret: @Sup3rS3cretThing",
        "- id: k1\n  state: Sup3rS3cretThing",
        "- id: k1\n  max_life: Sup3rS3cretThing",
        "- id: k1\n  dialect: Sup3rS3cretThing",
    ],
)
def test_faults_never_quote_a_secret(text: str) -> None:
    """Also not when it stands in the wrong place or breaks the YAML."""
    for fault in faults(text):
        assert "Sup3rS3cret" not in str(fault)


def test_more_than_eight_keys_to_try_are_refused() -> None:
    """Where URLs carry no key id each key costs a hash, so their number for a site is bounded."""

    def entries(sites: str) -> str:
        return "".join(
            f"- {{id: z{n}, dialect: keycdn_image, text_secret: a-long-secret-{n:04}, sites: [{sites.format(n=n)}]}}\n"
            for n in range(9)
        )

    assert [fault.path for fault in faults(entries("shop"))] == ["z8"]
    assert len(read(entries("shop{n}")).keys) == 9


@pytest.mark.parametrize(
    ("written", "life"),
    [("", 3600), (", max_life: 15m", 900), (", max_life: 1h", 3600), (", unsafe_max_life: 7d", 7 * 86_400)],
)
def test_what_md5_signs_lives_an_hour_unless_that_is_waived(written: str, life: int) -> None:
    """By default, and by its field; and it is written as it is read."""
    entry = f"- {{id: zone, dialect: keycdn_access, text_secret: sixteen-letters-or-more{written}}}"
    key = read(entry).keys[0]
    assert key.max_life == life
    assert read(render(key)).keys == (key,)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("dialect: keycdn_access, text_secret: sixteen-letters-or-more, max_life: 61m", "write unsafe_max_life: 61m"),
        ("dialect: akamai_edgeauth, algorithm: hmac-md5, hex_secret: 00112233445566778899aabbccddeeff, max_life: 7d",
         "write unsafe_max_life: 7d"),
        (f"secret: {'A' * 43}, unsafe_max_life: 7d", "is for MD5 keys"),
        ("dialect: keycdn_access, text_secret: sixteen-letters-or-more, max_life: 1h, unsafe_max_life: 2h",
         "stands here already"),
    ],
)  # fmt: skip
def test_a_long_life_of_md5_is_a_fault_at_its_place(entry: str, said: str) -> None:
    """With line and column, and with the field to write."""
    (fault,) = faults(f"# keys\n- {{id: zone, {entry}}}\n")
    assert said in fault.message
    assert (fault.line, fault.column > 10) == (2, True)


@pytest.mark.parametrize(
    "key",
    [
        Key(id="k1", dialect="native", algorithm="hmac-sha256", material=bytes(range(32)), sites=("a", "b")),
        Key(id="z", dialect="keycdn_image", algorithm="md5", material=b'a "quoted": #secret', max_life=90),
        Key(id="z", dialect="keycdn_access", algorithm="md5", material=bytes(range(200, 216)), state="pending"),
        Key(
            id="e",
            dialect="native",
            algorithm="ed25519",
            material=bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
            private=bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
            not_before=1,
            not_after=2_000_000_000,
        ),
    ],
)
def test_a_rendered_key_is_read_back(key: Key) -> None:
    """What `keys new` prints is what the gateway loads."""
    assert read(render(key)).keys == (key,)


def test_a_text_that_costs_a_parser_minutes_is_refused_at_its_depth() -> None:
    """Brackets upon brackets are given up where no keyring ever reaches, not read to their end."""
    (fault,) = faults("[" * 100_000)
    assert fault.message.startswith("nested deeper than")
    assert (fault.line, fault.file) == (1, "keys.yaml")


@given(st.text(alphabet="-: []{}idsecret'\"\n\t#&*!|>%@`,?0", max_size=80))
def test_any_text_is_a_keyring_or_a_list_of_faults(text: str) -> None:
    """Nothing but ConfigurationInvalid comes out of a file."""
    try:
        read(text)
    except ConfigurationInvalid as error:
        assert error.faults
