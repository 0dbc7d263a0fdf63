"""The admin API of a real gateway, by the command line as its operators use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from countermark.core.encoding import read_base64url
from countermark.core.target import parse_target
from countermark.keys.keyring import Key
from countermark.signing.native import mint_native
from countermark.web.admin_gate import hash_of
from tests.system.conftest import ROOT, Gateway, Launch, config

TOKEN = f"cmadm_{'t' * 43}"
KEYS = f"""\
- {{ id: k1, secret: {"A" * 43} }}
- {{ id: m1, dialect: session, secret: {"E" * 42}A }}
"""
SETTINGS = """\
origins: { pictures: { url: "file:./pictures" } }
sites: [ { name: shop, match: { prefix: /shop/ }, origin: pictures } ]
admin: { tokens: ./admin-tokens.yaml }
store: "sqlite:./store.db"
"""

pytestmark = pytest.mark.timeout(120)

Ended = subprocess.CompletedProcess[str]


class Operator:
    """Somebody with a shell and a token."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def run(self, *arguments: str, token: str = TOKEN, **variables: str) -> Ended:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERMARK_")}
        environ |= {"PYTHONPATH": str(ROOT / "proxy"), **variables}
        if token:
            environ["COUNTERMARK_ADMIN_TOKEN"] = token
        end = arguments.index("--") if "--" in arguments else len(arguments)
        told = [*arguments[:end], "--admin", f"http://{self.gateway.admin}", *arguments[end:]]
        command = [sys.executable, "-m", "countermark.cli.main", *told]
        return subprocess.run(
            command, check=False, cwd=self.gateway.folder, env=environ, capture_output=True, text=True, timeout=50
        )

    def does(self, *arguments: str) -> str:
        """The output of a command that must succeed."""
        ended = self.run(*arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture
def operator(serve: Launch) -> Operator:
    """A gateway with the API on."""
    entry = f"- {{ name: oncall, sha256: {hash_of(TOKEN)}, roles: [operator, issuer, viewer, keys] }}\n"
    gateway = serve(config() + SETTINGS, files={"keys.yaml": KEYS, "admin-tokens.yaml": entry})
    return Operator(gateway)


def signed(path: str, key: Key | None = None) -> str:
    key = key or Key(id="k1", dialect="native", algorithm="hmac-sha256", material=bytes(32))
    return mint_native(parse_target(path), audience="shop", key=key, expires=4_000_000_000)


def test_a_url_is_revoked_listed_exported_lifted_and_imported(operator: Operator, tmp_path: Path) -> None:
    """Each by one command, and told in the log under the token's name."""
    made = operator.does("revoke", "--url", signed("/shop/cat.jpg"), "--reason", "leaked", "--for", "7d")
    grant = made.split()[2].rstrip(",")
    assert "leaked" in operator.does("revocations", "list")
    file = tmp_path / "list.ndjson"
    operator.does("revocations", "export", "--output", str(file))
    (entry,) = [json.loads(line) for line in file.read_text().splitlines()]
    assert (entry["kind"], entry["value"], entry["author"]) == ("grant", grant, "oncall")
    operator.does("revocations", "lift", "grant", grant)
    assert operator.does("revocations", "import", str(file)) == "imported 1 entries\n"
    listed = operator.does("revocations", "list", "--kind", "grant", "--value", grant, "--json").splitlines()
    assert [json.loads(line).get("lifted", False) for line in listed] == [False, True, False]
    assert operator.does("revocations", "export").encode() == b"".join(
        line.encode() + b"\n" for line in listed
    ).replace(b": ", b":").replace(b", ", b",")
    kinds = [line["kind"] for line in operator.gateway.log("notice")]
    assert kinds == ["revocation.added", "revocation.lifted", "revocation.imported"]
    assert {line["actor"] for line in operator.gateway.log("notice")} == {"oncall"}
    assert operator.gateway.metric("countermark_notices_total", kind="revocation.added") == 1


def test_a_value_may_begin_like_an_option(operator: Operator) -> None:
    """An issuer's ids are as he likes them."""
    operator.does("revoke", "--jti", "-k3Yw0")
    operator.does("revocations", "lift", "jti", "--", "-k3Yw0")
    assert operator.does("revocations", "list", "--value", "-k3Yw0").count("jti:-k3Yw0") == 2


def test_a_client_signs_in_its_session_until_it_is_logged_out(operator: Operator) -> None:
    """Login, a URL that proves itself, refresh, logout."""
    opened = json.loads(operator.does("sessions", "login", "--site", "shop", "--user", "alice", "--json"))
    seed = read_base64url(opened["seed"])
    assert seed is not None
    key = Key(id=opened["key_id"], dialect="native", algorithm="hmac-sha256", material=seed)
    operator.does("revoke", "--url", signed("/shop/dog.jpg", key))
    shown = operator.run("sessions", "refresh", opened["key_id"], "--target", "/shop/cat.jpg?w=x")
    assert f"key_id: ses_{opened['id']}.2" in shown.stdout
    assert "/shop/cat.jpg?w=x" in shown.stderr
    assert operator.run("sessions", "refresh", opened["key_id"]).returncode == 1
    assert opened["id"] in operator.does("sessions", "list", "--user", "alice")
    assert operator.does("sessions", "logout", "--user", "alice") == f"ended {opened['id']}\n"
    assert operator.does("sessions", "list") == ""


def test_a_reload_brings_new_tokens_and_the_list_stays(operator: Operator) -> None:
    """A token that was taken out of the file opens nothing any more; what was revoked stays revoked."""
    operator.does("revoke", "--user", "alice")
    other = f"cmadm_{'u' * 43}"
    entry = f"- {{ name: other, sha256: {hash_of(other)}, roles: [viewer] }}\n"
    (operator.gateway.folder / "admin-tokens.yaml").write_text(entry)
    operator.gateway.reload()
    assert operator.run("revocations", "list").returncode == 1
    listed = operator.run("revocations", "list", token=other)
    assert "user:alice" in listed.stdout


WRONG = {
    "no token": (("revoke", "--user", "alice"), {"token": ""}, 2, "COUNTERMARK_ADMIN_TOKEN"),
    "a wrong token": (("revoke", "--user", "alice"), {"token": f"cmadm_{'x' * 43}"}, 1, "admin API takes a token"),
    "nothing named": (("revoke",), {}, 2, "exactly one of"),
    "two named": (("revoke", "--user", "alice", "--key", "k1"), {}, 2, "exactly one of"),
    "a forged URL": (
        ("revoke", "--url", "/shop/cat.jpg?exp=4000000000&kid=k1&sig=" + "A" * 43),
        {},
        1,
        "proves nothing",
    ),
    "no site": (("sessions", "login", "--site", "attic", "--user", "alice"), {}, 1, "No site is called"),
    "a bad key id": (("sessions", "refresh", "nonsense"), {}, 2, "ses_SESSION.GENERATION"),
    "both forms of a token": (("revoke", "--user", "a"), {"COUNTERMARK_ADMIN_TOKEN_FILE": "x"}, 2, "either"),
}


def test_what_is_wrong_is_said(operator: Operator) -> None:
    """A sentence on standard error; 1 where the gateway refuses, 2 where the command is misused."""
    for arguments, variables, status, sentence in WRONG.values():
        ended = operator.run(*arguments, **variables)
        assert (ended.returncode, ended.stdout) == (status, "")
        assert sentence in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_faulty_import_names_its_line(operator: Operator, tmp_path: Path) -> None:
    """And a large one is refused though the gateway hangs up before it is sent."""
    file = tmp_path / "list.ndjson"
    file.write_text('{"kind":"user","value":"alice","created":1}\nnonsense\n' + "x" * 5_000_000)
    ended = operator.run("revocations", "import", str(file))
    assert ended.returncode == 1
    assert "Line 2" in ended.stderr


def test_without_a_gateway_revoke_says_so(launch: Launch, tmp_path: Path) -> None:
    """Nothing listens there, and nobody is left to believe that something was revoked."""
    gateway = Gateway(tmp_path, subprocess.Popen([sys.executable, "-c", ""]))
    gateway.process.wait()
    gateway.admin = "127.0.0.1:9"
    ended = Operator(gateway).run("revoke", "--user", "alice")
    assert ended.returncode == 1
    assert "No gateway answers at http://127.0.0.1:9" in ended.stderr


def test_a_new_token_opens_what_its_entry_says(tmp_path: Path) -> None:
    """What is printed can be appended to the file as it is."""
    environ = {"PYTHONPATH": str(ROOT / "proxy"), "PATH": os.defpath}

    def run(*arguments: str) -> Ended:
        command = [sys.executable, "-m", "countermark.cli.main", "admin", "token", *arguments]
        return subprocess.run(command, check=False, cwd=tmp_path, env=environ, capture_output=True, text=True)

    made = run("new", "--name", "oncall", "--role", "operator", "--site", "shop", "--for", "90d")
    token = made.stderr.strip().splitlines()[-1]
    assert f'sha256: "{hash_of(token)}"' in made.stdout
    assert token not in made.stdout
    (tmp_path / "admin-tokens.yaml").write_text(made.stdout)
    (tmp_path / "settings.yaml").write_text("admin: { tokens: ./admin-tokens.yaml }\n")
    listed = run("list")
    assert listed.stdout.split()[:3] == ["oncall", "operator", "shop"]
    assert run("new", "--name", "no name", "--role", "viewer").returncode == 2
    assert run("new", "--name", "a", "--role", "root").returncode == 2
