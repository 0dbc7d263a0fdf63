"""Opening an origin by its address."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from countermark.backends.origins.table import FACTORIES, open_origin
from countermark.core.errors import ConfigurationInvalid
from countermark.settings.model import OriginSettings


async def test_an_unknown_scheme_is_answered_with_the_known_ones() -> None:
    """The fault names the setting and what could stand there."""
    with pytest.raises(ConfigurationInvalid) as raised:
        await open_origin("photos", OriginSettings(url="ftp://old.example/pub"))
    (fault,) = raised.value.faults
    assert fault.path == "origins.photos.url"
    assert all(f"{scheme}:" in fault.message for scheme in FACTORIES)


async def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lacks obstore is told what to install."""
    monkeypatch.delitem(sys.modules, "countermark.backends.origins.s3", raising=False)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ConfigurationInvalid, match=r"countermark\[cloud\]"):
        await open_origin("photos", OriginSettings(url="s3://bucket"))


@pytest.mark.parametrize(
    "settings",
    [
        OriginSettings(url="file:///no/such/folder"),
        OriginSettings(url="file://elsewhere/photos"),
        OriginSettings(url="file:///tmp?x=1"),
        OriginSettings(url="http:"),
        OriginSettings(url="http://user:hunter2@photos.example/"),
        OriginSettings(url="http://photos.example/?token=1"),
        OriginSettings(url="http://photos.example:99999/"),
        OriginSettings(url="http://photos.example/", allow_networks=("everything",)),
        OriginSettings(url="http://photos.example/", headers={"X-Key": "a\r\nX-Other: b"}),
        OriginSettings(url="http://photos.example/", headers={"Range": "bytes=0-1"}),
        OriginSettings(url="s3:"),
        OriginSettings(url="s3://bucket?endpoint=http://evil.example"),
        OriginSettings(url="s3://bucket", access_key_id="only half"),
        OriginSettings(url="s3://bucket", endpoint="not an address"),
    ],
)
async def test_an_address_that_cannot_work_is_refused_at_the_start(settings: OriginSettings) -> None:
    """Faults of the configuration are not left for the first request."""
    with pytest.raises(ConfigurationInvalid) as raised:
        await open_origin("photos", settings)
    assert raised.value.faults[0].path.startswith("origins.photos.")
    assert "hunter2" not in str(raised.value)


async def test_a_relative_folder_begins_where_the_process_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`file:./photos` is the folder a user sees beside the configuration."""
    (tmp_path / "my photos").mkdir()
    (tmp_path / "my photos" / "cat.jpg").write_bytes(b"meow")
    monkeypatch.chdir(tmp_path)
    origin = await open_origin("photos", OriginSettings(url="file:./my%20photos"))
    assert (await origin.stat("cat.jpg")).size == 4
    await origin.close()
