"""The kinds of origins by the scheme of their address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from countermark.backends.origins.file import open_file
from countermark.backends.origins.http import open_http
from countermark.core.errors import ConfigurationInvalid, Fault
from countermark.ports import Origin
from countermark.settings.model import OriginSettings

Factory = Callable[[str, OriginSettings], Awaitable[Origin]]


async def _open_s3(name: str, settings: OriginSettings) -> Origin:
    try:
        from countermark.backends.origins.s3 import open_s3
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        message = "s3: origins need the package obstore; install countermark[cloud]"
        raise ConfigurationInvalid([Fault(path=f"origins.{name}.url", message=message)]) from error
    return await open_s3(name, settings)


FACTORIES: dict[str, Factory] = {
    "file": open_file,
    "http": open_http,
    "https": open_http,
    "s3": _open_s3,
}


async def open_origin(name: str, settings: OriginSettings) -> Origin:
    """The origin of that address, ready for requests. Raises ConfigurationInvalid; close it in the loop that opened it."""
    scheme = settings.url.partition(":")[0].lower()
    factory = FACTORIES.get(scheme)
    if factory is None:
        known = ", ".join(f"{scheme}:" for scheme in FACTORIES)
        message = f"unknown kind of origin; its address begins with one of {known}"
        raise ConfigurationInvalid([Fault(path=f"origins.{name}.url", message=message)])
    return await factory(name, settings)
