"""The signers that apps copy: each language's own runtime makes exactly the URLs that the gateway takes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from countermark.core.encoding import read_base64url
from countermark.core.grant import Claims
from countermark.core.request import EdgeRequest
from countermark.core.target import decode_path, parse_target
from countermark.keys.keyring import Key, Keyring
from countermark.keys.material import public_of
from countermark.signing.dialect import Realm
from countermark.signing.expiry import quantised
from countermark.signing.verify import authenticate

ROOT = Path(__file__).resolve().parents[2]
SIGNERS = ROOT / "deploy" / "signers"
DRIVERS = Path(__file__).parent / "drivers"
FILE = ROOT / "tests" / "vectors" / "signers.json"
DOCUMENT = json.loads(FILE.read_text(encoding="utf-8"))
VECTORS = DOCUMENT["vectors"]
GOOD = [vector for vector in VECTORS if "url" in vector]
FRESH = [vector for vector in VECTORS if vector.get("fresh") == "once"]
"""Those whose URLs are new each time: the signer makes the `once`."""
WORDS = {
    "session": "session",
    "client": "client_id",
    "user": "user",
    "context": "context",
    "jti": "jti",
    "once": "once",
}
"""What the claims call the options that are texts."""

Answer = Mapping[str, str] | None
"""What a signer made of a vector: its `url`, or how it `refused`; None where the language lacks the algorithm."""


def run(*command: str | Path, folder: Path, environ: Mapping[str, str] = {}) -> str:
    """What a program prints, with a bound on its time."""
    done = subprocess.run(
        [str(word) for word in command],
        check=False,
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def program(name: str) -> str:
    """The path of a language's runtime, or a skip with its name."""
    found = shutil.which(name) or shutil.which(name, path="/usr/local/go/bin")
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


def driven(runtime: str, driver: str, signer: str) -> Callable[[Path], list[Answer]]:
    """How a signer is run that its runtime reads as it is."""

    def answers(folder: Path) -> list[Answer]:
        printed = run(program(runtime), DRIVERS / driver, SIGNERS / signer, FILE, folder=folder)
        return list(json.loads(printed))

    return answers


def go(folder: Path) -> list[Answer]:
    """The signer is copied into a module, as an app would have it."""
    (folder / "countermark").mkdir()
    shutil.copy(SIGNERS / "go" / "countermark.go", folder / "countermark")
    shutil.copy(DRIVERS / "main.go", folder)
    (folder / "go.mod").write_text("module signers\n\ngo 1.21\n")
    offline = {"GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
    cache = {} if "HOME" in os.environ else {"GOCACHE": str(folder / "cache")}
    return list(json.loads(run(program("go"), "run", ".", FILE, folder=folder, environ=offline | cache)))


def shell(folder: Path) -> list[Answer]:
    """One process a vector; the key comes by the environment."""
    program("openssl")
    return [None if nothing(vector) else shell_answer(vector, folder) for vector in VECTORS]


def nothing(vector: Mapping[str, Any]) -> bool:
    """A list without an element cannot be typed."""
    return [] in vector["options"].values()


def shell_answer(vector: Mapping[str, Any], folder: Path) -> Answer:
    """What the command prints, or its sentence where it exits with 2."""
    key = DOCUMENT["keys"][vector["key"]]
    environ = {
        "PATH": os.environ["PATH"],
        "COUNTERMARK_KID": key["kid"],
        "COUNTERMARK_SECRET": key.get("secret", ""),
        "COUNTERMARK_PRIVATE_KEY": key.get("private_key", ""),
        "COUNTERMARK_AUDIENCE": vector["audience"],
    }
    letters = {"life": "-l", "not_before": "-n", "ip": "-i", "transform_hash": "-t", "issued": "-a", "now": "-d"}
    letters |= {"session": "-s", "client": "-c", "user": "-u", "context": "-m", "jti": "-j", "once": "-o"}
    options = dict(vector["options"])
    words = ["-b", vector["base"], *(["-x"] if options.pop("exact", False) else [])]
    words += [word for code in options.pop("countries", ()) for word in ("-g", code)]
    words += [word for name, value in options.items() for word in (letters[name], str(value))]
    operations = [f"{name}={value}" for name, value in vector["operations"].items()]
    done = subprocess.run(
        ["sh", str(SIGNERS / "shell" / "countermark-sign.sh"), *words, vector["path"], *operations],
        check=False,
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=50,
    )
    assert done.returncode in (0, 2), done.stderr
    return {"refused": done.stderr} if done.returncode else {"url": done.stdout.removesuffix("\n")}


LANGUAGES: Mapping[str, Callable[[Path], list[Answer]]] = {
    "python": driven(sys.executable, "drive.py", "python/countermark_signer.py"),
    "javascript": driven("node", "drive.mjs", "javascript/countermark.mjs"),
    "go": go,
    "php": driven("php", "drive.php", "php/CountermarkSigner.php"),
    "ruby": driven("ruby", "drive.rb", "ruby/countermark_signer.rb"),
    "shell": shell,
}


def test_every_signer_is_tried() -> None:
    """A language that is added is added here."""
    assert {path.name for path in SIGNERS.iterdir() if path.is_dir()} == set(LANGUAGES)


@pytest.mark.timeout(300)  # the first time Go compiles its standard library
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_signer_makes_the_very_urls_of_the_vectors(language: str, tmp_path: Path) -> None:
    """Byte for byte, and it refuses what the gateway would, with a sentence that holds no secret."""
    answers = LANGUAGES[language](tmp_path)
    assert len(answers) == len(VECTORS)
    told = zip(VECTORS, answers, strict=True)
    tried = [(vector, answer) for vector, answer in told if answer is not None]
    assert len(tried) >= len(VECTORS) - 4
    made = {vector["id"]: answer.get("url") for vector, answer in tried if vector not in FRESH}
    assert made == {vector["id"]: vector.get("url") for vector, _ in tried if vector not in FRESH}
    once = [verified(vector, answer["url"]).once for vector, answer in tried if vector in FRESH]
    assert len(once) == len(set(once)) >= 2
    assert {len(nonce) for nonce in once} == {22}
    for vector, answer in tried:
        if "refused" in vector:
            assert len(answer["refused"]) > 10, vector["id"]
            assert not any(secret in answer["refused"] for secret in secrets(vector["key"]))


def secrets(key: str) -> list[str]:
    """What must never be shown of a key."""
    return [value for name, value in DOCUMENT["keys"][key].items() if name != "kid"]


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["id"])
def test_the_gateway_takes_every_url_of_the_vectors(vector: dict[str, Any]) -> None:
    """Through the real verify path, and it reads what the app meant."""
    options = vector["options"]
    now, life = options["now"], options.get("life", 3600)
    claims = verified(vector, vector["url"])
    assert "/" + decode_path(claims.path) == vector["path"]
    assert claims.expires == (now + life if options.get("exact") else quantised(now, life))
    operations = {pair.name: pair.value for pair in claims.pairs} | ({"preset": claims.preset} if claims.preset else {})
    assert operations == vector["operations"]
    assert (claims.not_before, claims.transform_hash, claims.issued) == (
        options.get("not_before"),
        options.get("transform_hash", ""),
        options.get("issued"),
    )
    assert (claims.address is not None) == ("ip" in options)
    assert claims.countries == frozenset(options.get("countries", ()))
    assert {word: getattr(claims, WORDS[word]) for word in WORDS} == {word: options.get(word, "") for word in WORDS}


def verified(vector: Mapping[str, Any], url: str) -> Claims:
    """What the gateway reads in a URL of this vector, once it may be opened."""
    told = DOCUMENT["keys"][vector["key"]]
    algorithm = "hmac-sha256" if "secret" in told else "ed25519"
    material = read_base64url(told.get("secret", "")) or public_of(
        algorithm, read_base64url(told["private_key"]) or b""
    )
    key = Key(id=told["kid"], dialect="native", algorithm=algorithm, material=material, max_life=604_800)
    options = vector["options"]
    now = options["now"]
    address = options.get("ip", "198.51.100.1").removeprefix("::ffff:").partition("/")[0]
    request = EdgeRequest(
        id="r",
        method="GET",
        target=parse_target(url.removeprefix(vector["base"].rstrip("/"))),
        host="",
        client=ip_address(address),
        headers={},
        received=float(now),
        country=next(iter(options.get("countries", ())), ""),
    )
    realm = Realm(site="site", audience=vector["audience"], dialects=("native",), options={"native": {}})
    moment = max(now, options.get("not_before", now), options.get("issued", now))
    return authenticate(request, realm, Keyring([key]), moment)
