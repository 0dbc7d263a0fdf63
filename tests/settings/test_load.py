"""Reading the settings: types, units, places of faults, environment."""

from __future__ import annotations

import pytest

from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.settings.load import load, secret_files
from countermark.settings.model import RenderSettings, Settings
from countermark.settings.option import DialectUse, Option

WHOLE = """\
server: { listen: "127.0.0.1:9000", workers: 2, trusted_proxies: [10.0.0.0/8, "2001:db8::/32"], header_timeout: 1500ms }
cache: { memory: 64MiB, disk_size: 1.5GB, revalidate: 0 }
origins:
  photos:
    url: https://photos.example.com/originals
    headers: { Authorization: "Bearer x" }
sites:
  - name: shop
    match: { host: img.example.com, prefix: /shop/ }
    origin: photos
    watermark: brand
    max_age: 7d
presets: { card: w=400&h=300 }
watermarks:
  brand: { image: ./brand.png, opacity: 0.3 }
"""


def faults(text: str, **arguments: object) -> list[Fault]:
    """All faults of a text that must be refused."""
    with pytest.raises(ConfigurationInvalid) as caught:
        load(text, file="s.yaml", **arguments)  # type: ignore[arg-type]
    return list(caught.value.faults)


def places(text: str, **arguments: object) -> list[tuple[str, int, int]]:
    """Path, line and column of every fault."""
    return [(fault.path, fault.line, fault.column) for fault in faults(text, **arguments)]


def test_an_empty_text_is_the_defaults() -> None:
    """What is not written has its default, also where a whole section is commented out."""
    assert load("") == Settings()
    assert load("server:\norigins:\n# nothing\n") == Settings()


def test_a_whole_file_is_read() -> None:
    """Every kind of value arrives in its unit."""
    settings = load(WHOLE, dialects={"native": DialectUse()})
    assert settings.server.listen == "127.0.0.1:9000"
    assert settings.server.workers == 2
    assert settings.server.trusted_proxies == ("10.0.0.0/8", "2001:db8::/32")
    assert settings.server.header_timeout == 1.5
    assert settings.cache.memory == 64 * 2**20
    assert settings.cache.disk_size == 1_500_000_000
    assert settings.cache.revalidate == 0
    assert settings.origins["photos"].headers == {"Authorization": "Bearer x"}
    assert settings.sites[0].max_age == 7 * 86_400
    assert settings.watermarks["brand"].opacity == 0.3


@pytest.mark.parametrize("written", ["NO", "1e3", "012", "2024-01-01", "0x10", "true"])
def test_a_text_stays_the_text_that_was_written(written: str) -> None:
    """Where a text is wanted, no word turns into a truth value, a number or a date."""
    assert load(f"keys: {written}").keys == written


def test_a_mapping_keeps_the_defaults_that_it_does_not_name() -> None:
    """One quality is set, the others stay."""
    quality = load("render: { quality: { avif: 60 } }").render.quality
    assert quality == RenderSettings().quality | {"avif": 60}


def test_all_faults_are_told_at_once_each_with_its_place() -> None:
    """Unknown key, wrong unit, wrong choice, missing key and a name that does not exist, from one reading."""
    text = """\
server: { lisen: "0.0.0.0:80" }
cache: { memory: 10 parsecs }
log: { level: loud }
origins:
  photos: { connections: 0 }
sites:
  - { name: shop, origin: photoz }
"""
    assert places(text) == [
        ("server.lisen", 1, 11),
        ("cache.memory", 2, 18),
        ("log.level", 3, 15),
        ("origins.photos.url", 5, 11),
        ("origins.photos.connections", 5, 26),
        ("sites[0].origin", 7, 27),
    ]


def test_faults_say_what_would_be_right() -> None:
    """An unknown key comes with the nearest known one, a wrong value with what is wanted."""
    unknown, size = faults("server: { lisen: x }\ncache: { memory: much }\n")
    assert "did you mean 'listen'" in unknown.message
    assert "256MiB" in size.message
    assert str(size) == "s.yaml:2:18: cache.memory: should be a size such as 256MiB, not 'much'"


def test_a_wrong_section_costs_one_fault_and_shifts_no_other() -> None:
    """What stands inside of a faulty section is not told again, and the next entry keeps its number."""
    text = "sites: [1, { name: a, origin: none }]\norigins: { }\n"
    assert [fault.path for fault in faults(text)] == ["sites[0]", "sites[1].origin"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("server: { listen: localhost }", "server.listen"),
        ("server: { listen: 'a:99999' }", "server.listen"),
        ("server: { listen: '[::1]:80x' }", "server.listen"),
        ("server: { listen: 'a:1', admin: 'a:1' }", "server.admin"),
        ("server: { trusted_proxies: [10.0.0.1/8] }", "server.trusted_proxies[0]"),
        ("server: { forward_auth: { target: X-Original-URI } }", "server.forward_auth.target"),
        ("server: { trusted_proxies: [10.0.0.0/8], forward_auth: { host: 'a b' } }", "server.forward_auth.host"),
        ("server: { header_timeout: 0 }", "server.header_timeout"),
        ("server: { workers: 0 }", "server.workers"),
        ("server: { workers: many }", "server.workers"),
        ("render: { quality: { png: 3 } }", "render.quality.png"),
        ("render: { quality: { jpeg: 101 } }", "render.quality.jpeg"),
        ("origins: { A B: { url: 'file:./x' } }", "origins.A B"),
        ("origins: { a: { url: 'ftp://x/' } }", "origins.a.url"),
        ("origins: { a: { url: 'file:' } }", "origins.a.url"),
        ("origins: { a: { url: 's3:' } }", "origins.a.url"),
        ("origins: { a: { url: 'http://u:p@h/' } }", "origins.a.url"),
        ("origins: { a: { url: 'http://h/?x=1' } }", "origins.a.url"),
        ("origins: { a: { url: 'http://[::1/' } }", "origins.a.url"),
        ("origins: { a: { url: 'http://h:99999/' } }", "origins.a.url"),
        ("origins: { a: { url: 'http://h/', endpoint: 'http://e' } }", "origins.a.endpoint"),
        ("origins: { a: { url: 's3://b', endpoint: 'e:9000' } }", "origins.a.endpoint"),
        ("origins: { a: { url: 's3://b', access_key_id: x } }", "origins.a"),
        ("origins: { a: { url: 'http://h/', headers: { X-A: \"b\\nc\" } } }", "origins.a.headers.X-A"),
        ("origins: { a: { url: 'http://h/', headers: { 'X A': b } } }", "origins.a.headers.X A"),
        ("origins: { a: { url: 'http://h/', allow_networks: [ten] } }", "origins.a.allow_networks[0]"),
    ],
)
def test_a_value_that_cannot_work_is_refused(text: str, path: str) -> None:
    """One fault, at the setting that is wrong."""
    assert [fault.path for fault in faults(text)] == [path]


SITE = "origins: {{ a: {{ url: 'file:./x' }} }}\nsites:\n  - {{ name: one, origin: a }}\n  - {{ {} }}\n"


@pytest.mark.parametrize(
    ("site", "path"),
    [
        ("name: one, origin: a, match: { prefix: /b/ }", "sites[1].name"),
        ("name: two, origin: a", "sites[1].match"),
        ("name: two, origin: a, match: { prefix: b }", "sites[1].match.prefix"),
        ("name: two, origin: a, match: { prefix: /b }", "sites[1].match.prefix"),
        ("name: two, origin: a, match: { prefix: /b//c/ }", "sites[1].match.prefix"),
        ("name: two, origin: a, match: { host: 'H:80' }", "sites[1].match.host"),
        ("name: two, origin: a, match: { host: h }, watermark: w", "sites[1].watermark"),
        ("name: two, origin: a, match: { host: h }, accept: [nativ]", "sites[1].accept[0]"),
        ("name: two, origin: a, match: { host: h }, accept: [native, native]", "sites[1].accept[1]"),
        ("name: two, origin: a, match: { host: h }, accept: []", "sites[1].accept"),
        ("name: two, origin: a, match: { host: h }, presets_only: true", "sites[1].presets_only"),
        ("name: Two!, origin: a, match: { host: h }", "sites[1].name"),
    ],
)
def test_a_site_that_contradicts_the_rest_is_refused(site: str, path: str) -> None:
    """Twins, absent names, malformed prefixes and hosts."""
    assert [fault.path for fault in faults(SITE.format(site), dialects={"native": DialectUse()})] == [path]


def test_a_variable_wins_over_the_file() -> None:
    """Single values as text, lists and mappings as YAML, single keys over whole sections."""
    environ = {
        "COUNTERMARK_SERVER__LISTEN": "127.0.0.1:1",
        "COUNTERMARK_SERVER__TRUSTED_PROXIES": "[192.0.2.0/24]",
        "COUNTERMARK_ORIGINS__PHOTOS__HEADERS": "{Authorization: y}",
        "COUNTERMARK_WATERMARKS": "{brand: {image: a.png}}",
        "COUNTERMARK_WATERMARKS__BRAND__IMAGE": "b.png # not a comment",
    }
    settings = load(WHOLE, environ=environ)
    assert settings.server.listen == "127.0.0.1:1"
    assert settings.server.trusted_proxies == ("192.0.2.0/24",)
    assert settings.server.workers == 2
    assert settings.origins["photos"].headers == {"Authorization": "y"}
    assert settings.watermarks["brand"].image == "b.png # not a comment"


def test_a_variable_reaches_a_name_with_a_hyphen() -> None:
    """Variables have no hyphens; the file's own spelling is found."""
    text = "origins: { my-photos: { url: 'file:./x' } }"
    settings = load(text, environ={"COUNTERMARK_ORIGINS__MY_PHOTOS__CONNECTIONS": "3"})
    assert settings.origins["my-photos"].connections == 3


def test_faults_of_variables_name_the_variable() -> None:
    """Unknown keys, wrong values and broken YAML in the environment."""
    environ = {
        "COUNTERMARK_SERVER__ADMNI": "x",
        "COUNTERMARK_CACHE__MEMORY": "much",
        "COUNTERMARK_SITES": "[",
        "COUNTERMARK_KEYS__MORE": "x",
    }
    found = {fault.file: fault.message for fault in faults("", environ=environ)}
    assert found.keys() == {f"${name}" for name in environ}
    assert "did you mean 'admin'" in found["$COUNTERMARK_SERVER__ADMNI"]


def test_variables_of_an_orchestrator_are_left_alone() -> None:
    """A Kubernetes service called countermark puts such variables into every container."""
    environ = {"COUNTERMARK_PORT": "tcp://10.0.0.1:80", "COUNTERMARK_SERVICE_HOST": "10.0.0.1", "PATH": "/bin"}
    assert load("", environ=environ) == Settings()


def test_only_secrets_are_read_from_files() -> None:
    """The _FILE form belongs to secrets; what it names is left to the caller."""
    environ = {
        "COUNTERMARK_ORIGINS__A__SECRET_ACCESS_KEY_FILE": "/run/secrets/a",
        "COUNTERMARK_ORIGINS__A__HEADERS__AUTHORIZATION_FILE": "/run/secrets/b",
        "COUNTERMARK_SERVER__LISTEN_FILE": "/run/listen",
        "OTHER_FILE": "x",
    }
    assert secret_files(environ) == {
        "COUNTERMARK_ORIGINS__A__SECRET_ACCESS_KEY": "/run/secrets/a",
        "COUNTERMARK_ORIGINS__A__HEADERS__AUTHORIZATION": "/run/secrets/b",
    }
    assert [fault.file for fault in faults("", environ=environ)] == ["$COUNTERMARK_SERVER__LISTEN_FILE"]


def test_a_secret_and_its_file_at_once_are_refused() -> None:
    """Nobody should have to guess which one counts."""
    name = "COUNTERMARK_ORIGINS__A__SECRET_ACCESS_KEY"
    with pytest.raises(ConfigurationInvalid, match="given twice"):
        secret_files({name: "x", f"{name}_FILE": "/run/secrets/a"})


def test_a_secret_is_not_shown() -> None:
    """Neither in the repr of its settings nor in a fault."""
    bucket = "a: { url: 's3://b', access_key_id: AKIA, secret_access_key: hush }"
    text = f"origins: {{ {bucket}, b: {{ url: 'https://b', headers: {{ X: hush }} }} }}"
    assert "hush" not in repr(load(text))
    assert "hush" not in str(load(text))
    broken = faults("origins: { a: { url: 's3://b', secret_access_key: [hush] } }")
    assert "hush" not in " ".join(map(str, broken))


def test_a_setting_of_another_kind_of_origin_is_refused() -> None:
    """Networks that an s3: origin would not keep to, or a key that a folder does not ask for."""
    bucket = "origins: { a: { url: 's3://b', allow_networks: [10.0.0.0/8], headers: { X: y }, redirects: 1 } }"
    said = "".join(map(str, faults(bucket)))
    for name in ("allow_networks", "headers", "redirects"):
        assert f"origins.a.{name}: is for http: and https: origins only" in said
    said = "".join(map(str, faults("origins: { a: { url: 'file:.', endpoint: 'https://s3.example.com' } }")))
    assert "origins.a.endpoint: is for s3: origins only" in said


@pytest.mark.parametrize(
    ("use", "site", "said"),
    [
        (
            DialectUse(signs_base_url=True),
            "name: two, origin: a, match: { host: h.example }, accept: [other]",
            "sites[1].base_url should be those that viewers have, such as https://h.example",
        ),
        (
            DialectUse(options=(Option(name="account", kind="str", default="", sentence="Whose.", required=True),)),
            "name: two, origin: a, match: { host: h.example }, accept: [other]",
            "other needs sites[1].dialects.other.account, which should be a text",
        ),
    ],
)
def test_what_a_dialect_cannot_do_without_is_asked_for(use: DialectUse, site: str, said: str) -> None:
    """Where the dialect is accepted, with what would be right."""
    (fault,) = faults(SITE.format(site), dialects={"native": DialectUse(), "other": use})
    assert (fault.path, fault.line > 1, fault.column > 1) == ("sites[1].accept[0]", True, True)
    assert said in fault.message
