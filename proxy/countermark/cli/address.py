"""URLs on the command line, the site that each belongs to, and the dialect in which it is signed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import click

from countermark.core.grant import Network
from countermark.core.request import Address
from countermark.settings.convert import suggestion
from countermark.settings.model import Settings, SiteSettings
from countermark.signing.dialect import Realm
from countermark.signing.table import DIALECTS

site_option = click.option("--site", "site_name", help="Name of the site; else the URL's host and path decide.")
dialect_option = click.option("--dialect", "dialect_name", help="One of the site's dialects; else each in its order.")


class AddressType(click.ParamType[Address]):
    """An IPv4 or IPv6 address."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        try:
            return ip_address(value)
        except ValueError:
            self.fail("must be an IPv4 or IPv6 address", param, ctx)


class HeaderType(click.ParamType[tuple[str, str]]):
    """A header field; its name becomes lower-case."""

    name = "header"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, colon, content = value.partition(":")
        if not colon or not name.strip():
            self.fail("must be written 'Name: value'", param, ctx)
        return name.strip().lower(), content.strip()


def host_of(origin: str) -> str:
    """The lower-case host, without port, of "https://img.example.com:8443"."""
    authority = origin.partition("://")[2].lower()
    return authority if authority.endswith("]") else re.sub(r":[0-9]*\Z", "", authority)


class CountryType(click.ParamType[str]):
    """The code of a country, ISO 3166-1 alpha-2; it becomes upper-case."""

    name = "country"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[A-Za-z]{2}", value):
            self.fail("must be a country's code of two letters, such as CH", param, ctx)
        return str(value).upper()


class NetworkType(click.ParamType[Address | Network]):
    """An IPv4 or IPv6 address, or a network of them."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address | Network:
        try:
            return ip_network(value) if "/" in value else ip_address(value)
        except ValueError:
            self.fail("must be an address or a network such as 203.0.113.0/24", param, ctx)


def split_url(url: str) -> tuple[str, str]:
    """The part before the path ("https://img.example.com", or "") and the raw target behind it."""
    scheme, separator, rest = url.partition("://")
    if not separator or "/" in scheme or "?" in scheme:
        return "", url
    end = min((rest.index(mark) for mark in "/?#\\" if mark in rest), default=len(rest))
    return f"{scheme}://{rest[:end]}", rest[end:] or "/"


def find_site(settings: Settings, name: str | None, origin: str, target: str) -> SiteSettings:
    """The site of this name, or the one that the URL belongs to. Raises click.UsageError where that is not one site."""
    host = host_of(origin)
    path = target.partition("?")[0]
    if name is not None:
        return _named(settings, name, path)
    fitting = [site for site in settings.sites if _fits(site, host, path)]
    if not path.startswith("/"):
        raise click.UsageError(
            f"A path starts with a slash, or with scheme and host before it: {path[:80]!r} does not."
        )
    if not fitting:
        raise click.UsageError(
            f"No site has {host or 'any host'} and {path[:80]}; there are {_places(settings.sites)}."
        )
    ranked = sorted(fitting, key=_rank, reverse=True)
    if len(ranked) > 1 and _rank(ranked[0]) == _rank(ranked[1]):
        raise click.UsageError(f"Several sites have this path; name one with --site: {_places(ranked)}.")
    return ranked[0]


def find_dialects(realm: Realm, name: str | None) -> tuple[str, ...]:
    """The realm's dialects, or the one of this name. Raises click.UsageError where the site does not accept it."""
    if name is None:
        return realm.dialects
    if name not in DIALECTS:
        raise click.UsageError(no_such_dialect(name))
    if name not in realm.dialects:
        accepted = ", ".join(realm.dialects)
        raise click.UsageError(
            f"Site {realm.site} does not accept the dialect {name}; it accepts {accepted} (sites[].accept)."
        )
    return (name,)


def no_such_dialect(name: str) -> str:
    """What is said of a name that is none; with the one that was meant, or with all."""
    hint = suggestion(name, DIALECTS) or f"; there are {', '.join(DIALECTS)}"
    return f"There is no dialect {name[:80]!r}{hint}"


def _named(settings: Settings, name: str, path: str) -> SiteSettings:
    site = next((site for site in settings.sites if site.name == name), None)
    if site is None:
        raise click.UsageError(f"No site is called {name}; there are {_places(settings.sites)}.")
    if not path.startswith(_prefix(site)):
        raise click.UsageError(f"The paths of site {name} start with {_prefix(site)}.")
    return site


def _fits(site: SiteSettings, host: str, path: str) -> bool:
    """A URL without a host fits any."""
    return (not host or site.match.host in ("*", host)) and path.startswith(_prefix(site))


def _rank(site: SiteSettings) -> tuple[bool, int]:
    return site.match.host != "*", len(_prefix(site))


def _prefix(site: SiteSettings) -> str:
    return site.match.prefix.rstrip("/") + "/"


def _places(sites: Sequence[SiteSettings]) -> str:
    return ", ".join(f"{site.name} ({site.match.host}{_prefix(site)})" for site in sites) or "none"
