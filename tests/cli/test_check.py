"""`countermark check` finds what is wrong in any of the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from countermark.cli.check import command

from .conftest import SETTINGS


def check(folder: Path, *arguments: str, **variables: str) -> Result:
    """The command's result on a folder's settings."""
    return CliRunner().invoke(command, ["--config", str(folder / "settings.yaml"), *arguments], env=variables)


def add(folder: Path, text: str) -> None:
    """More settings at the end of the file."""
    (folder / "settings.yaml").write_text(SETTINGS + text)


def test_a_good_folder_is_valid(folder: Path) -> None:
    """With a count of what was found."""
    result = check(folder)
    assert result.exit_code == 0
    assert result.output == "valid (sites: 1, origins: 1, keys: 1)\n"


def test_all_faults_of_the_settings_are_listed(folder: Path) -> None:
    """One a line, with its place, and the exit status says so."""
    add(folder, "cache: { memory: much }\nlog: { level: loud }\n")
    result = check(folder)
    assert result.exit_code == 1
    path = folder / "settings.yaml"
    assert f"{path}:6:18: cache.memory: should be a size such as 256MiB, not 'much'\n" in result.output
    assert f"{path}:7:15: log.level: should be" in result.output
    assert result.output.endswith("2 faults\n")


def test_faults_of_keys_presets_watermarks_and_folders_are_told_together(folder: Path) -> None:
    """One run shows them all."""
    add(folder, "presets: { card: w=wide }\nwatermarks: { brand: { image: brand.png }, note: { image: note.txt } }\n")
    (folder / "note.txt").write_text("no picture")
    (folder / "keys.yaml").write_text("- { id: k1, secret: short }\n")
    (folder / "pictures").rmdir()
    result = check(folder, "--json")
    found = json.loads(result.output)
    assert result.exit_code == 1
    assert found["valid"] is False
    paths = {fault["path"] for fault in found["faults"]}
    assert {"presets.card", "watermarks.brand.image", "watermarks.note.image", "origins.pictures.url"} <= paths
    assert any(fault["file"] == str(folder / "keys.yaml") for fault in found["faults"])


def test_faults_of_admin_tokens_are_told(folder: Path) -> None:
    """Also a site that a token is for and that does not exist: it would silently be for nothing."""
    add(folder, "admin: { tokens: admin-tokens.yaml }\n")
    assert "admin token new" in check(folder).output
    file = folder / "admin-tokens.yaml"
    file.write_text(f"- {{ name: ci, sha256: '{'0' * 64}', roles: [issuer], sites: [shop, attic] }}\n")
    assert f"{file.name}: sites: the token ci is for the site attic, which does not exist" in check(folder).output
    file.write_text(f"- {{ name: ci, sha256: '{'0' * 64}', roles: [issuer], sites: [shop] }}\n")
    assert check(folder).exit_code == 0


@pytest.mark.parametrize("missing", ["settings.yaml", "keys.yaml"])
def test_a_missing_file_is_a_fault_and_no_traceback(folder: Path, missing: str) -> None:
    """It is named, with the system's reason."""
    (folder / missing).unlink()
    result = check(folder)
    assert result.exit_code == 1
    assert f"{folder / missing}: cannot be read: No such file or directory" in result.output


def test_a_site_that_no_key_opens_is_a_warning(folder: Path) -> None:
    """It may be on purpose, and it is seldom meant."""
    (folder / "keys.yaml").write_text(f"- {{ id: k1, secret: {'A' * 43}, sites: [other] }}\n")
    result = check(folder)
    assert result.exit_code == 0
    assert "warning: no_key: site shop accepts native, and no key of the keyring opens it" in result.output


def test_what_weakens_is_named(folder: Path) -> None:
    """Old hashes, short secrets and waivers, each by a name that programs can go by; a revoked key is none."""
    (folder / "settings.yaml").write_text(
        SETTINGS.replace(
            "origin: pictures }",
            "origin: pictures, accept: [keycdn_image, fastly_token], "
            "dialects: { keycdn_image: { unsafe_unlimited: true } } }",
        )
    )
    (folder / "keys.yaml").write_text(
        "- { id: old, dialect: keycdn_image, text_secret: mysecret }\n"
        f"- {{ id: edge, dialect: fastly_token, base64_secret: {'A' * 44} }}\n"
        "- { id: gone, dialect: keycdn_image, text_secret: sixteen-letters-or-more, state: revoked }\n"
    )
    result = check(folder, "--json")
    found = json.loads(result.output)
    assert result.exit_code == 0
    assert [
        (caution["name"], caution["message"].split(" signs")[0].split(":")[0]) for caution in found["warnings"]
    ] == [
        ("legacy_hash", "key old (keycdn_image)"),
        ("weak_secret", "key old"),
        ("legacy_hash", "key edge (fastly_token)"),
        ("unsafe_option", "site shop, keycdn_image.unsafe_unlimited"),
    ]
    assert "mysecret" not in result.output


@pytest.mark.parametrize("dialect", ["keycdn_image", "thumbor", "cloudinary", "nginx_secure_link_secret"])
def test_a_dialect_without_an_end_wants_its_waiver(folder: Path, dialect: str) -> None:
    """The fault has file, line and column, and the line to add; with that line the settings are right."""
    faulty = SETTINGS.replace("origin: pictures }", f"origin: pictures, accept: [native, {dialect}] }}")
    (folder / "settings.yaml").write_text(faulty)
    result = check(folder)
    line = f"dialects: {{ {dialect}: {{ unsafe_unlimited: true }} }}"
    assert result.exit_code == 1
    assert f"{folder / 'settings.yaml'}:5:81: sites[0].accept[1]: " in result.output
    assert f"its URLs never end; to take them all the same, add {line}\n" in result.output
    (folder / "settings.yaml").write_text(faulty.replace("] }", f"], {line} }}"))
    assert check(folder).exit_code == 0


def test_an_outer_dialect_ends_what_has_no_end(folder: Path) -> None:
    """So no waiver is asked for; and it is another one than those that are accepted."""
    site = "origin: pictures, accept: [thumbor], outer: rfc9421, dialects: { rfc9421: { tag: edge } } }"
    (folder / "settings.yaml").write_text(SETTINGS.replace("origin: pictures }", site))
    result = check(folder)
    assert result.exit_code == 0, result.output
    assert "no_key: site shop accepts rfc9421" in result.output
    assert "unsafe_option" not in result.output
    (folder / "settings.yaml").write_text(
        SETTINGS.replace("origin: pictures }", site.replace("[thumbor]", "[rfc9421]"))
    )
    assert "sites[0].outer: 'rfc9421' is accepted already" in check(folder).output


def test_an_unknown_dialect_is_a_fault(folder: Path) -> None:
    """The names are those of the dialects that exist."""
    settings = SETTINGS.replace("origin: pictures }", "origin: pictures, accept: [keycdn_imag] }")
    (folder / "settings.yaml").write_text(settings)
    assert "did you mean 'keycdn_image'" in check(folder).output


def test_a_secret_is_read_from_its_file(folder: Path) -> None:
    """Without the line break at its end, which would not be allowed in a header."""
    add(folder, "")
    (folder / "token").write_text("Bearer x\n")
    environ = {"COUNTERMARK_ORIGINS__PICTURES__URL": "https://origin.example.com/"}
    name = "COUNTERMARK_ORIGINS__PICTURES__HEADERS__AUTHORIZATION_FILE"
    assert check(folder, **environ, **{name: str(folder / "token")}).exit_code == 0
    (folder / "token").write_text("Bearer\nx\n")
    result = check(folder, **environ, **{name: str(folder / "token")})
    assert result.exit_code == 1
    assert "control character" in result.output


def test_a_secret_s_file_that_is_missing_is_a_fault(folder: Path) -> None:
    """It is named."""
    result = check(folder, COUNTERMARK_ORIGINS__PICTURES__SECRET_ACCESS_KEY_FILE=str(folder / "none"))
    assert result.exit_code == 1
    assert f"{folder / 'none'}: cannot be read" in result.output


def test_an_endless_file_is_refused(folder: Path) -> None:
    """No more than a settings file's worth of it is read."""
    result = CliRunner().invoke(command, ["--config", "/dev/zero"])
    assert result.exit_code == 1
    assert "larger than 256 KiB" in result.output


@pytest.mark.parametrize("head", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\x00\x00\x00\x00WEBPVP8 "])
def test_png_jpeg_and_webp_may_be_watermarks(folder: Path, head: bytes) -> None:
    """By their first bytes, whatever the name says."""
    add(folder, "watermarks: { brand: { image: brand } }\n")
    (folder / "brand").write_bytes(head)
    assert check(folder).exit_code == 0
