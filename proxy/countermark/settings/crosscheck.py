"""What must hold between settings that are each right by themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from ipaddress import ip_network
from itertools import pairwise
from urllib.parse import SplitResult, urlsplit

from countermark.core.catalogue import Catalogue
from countermark.core.encoding import read_base64
from countermark.settings.cdns import CDN_TRAITS
from countermark.settings.convert import suggestion
from countermark.settings.model import CdnSettings, MailSettings, OriginSettings, ServerSettings, Settings, SiteSettings
from countermark.settings.option import DialectUse

Found = tuple[str, str]
Dialects = Mapping[str, DialectUse]
"""What each signature dialect lets a site set, and needs."""

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", re.ASCII)
_PREFIX = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]+/)*", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_ZONE = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}", re.ASCII)
_CDN_KEYS = (
    "zone", "token", "access_key_id", "secret_access_key", "client_token", "client_secret", "access_token", "addresses",
    "endpoint", "tag_header",
)  # fmt: skip
_SCHEMES = ("file", "http", "https", "s3")


def crosscheck(settings: Settings, dialects: Dialects | None) -> Iterator[Found]:
    """Each fault as its path and sentence. `dialects` are those that sites may accept; None leaves them unchecked."""
    yield from _server(settings)
    yield from _names(settings)
    yield from _render(settings)
    for name, origin in settings.origins.items():
        yield from _origin(f"origins.{name}", origin)
    for name, cdn in settings.cdns.items():
        yield from _cdn(f"cdns.{name}", cdn)
    yield from _notify(settings)
    for index, site in enumerate(settings.sites):
        yield from _site(f"sites[{index}]", site, settings, dialects)
        yield from _fronted(f"sites[{index}].cdns", site, settings)
    yield from _twins(settings, "name", lambda site: site.name)
    yield from _twins(settings, "match", lambda site: f"{site.match.host}{site.match.prefix}")


def _server(settings: Settings) -> Iterator[Found]:
    server = settings.server
    for key, address in (("listen", server.listen), ("admin", server.admin)):
        match = _ADDRESS.fullmatch(address)
        if match is None or int(match[2]) > 65_535:
            yield f"server.{key}", f"should be HOST:PORT such as 127.0.0.1:8080, not {address[:80]!r}"
    if server.listen == server.admin and not server.listen.endswith(":0"):
        yield "server.admin", "the same address as server.listen; metrics and admin need one of their own"
    yield from _networks("server.trusted_proxies", server.trusted_proxies)
    yield from _forward_auth(server)


def _forward_auth(server: ServerSettings) -> Iterator[Found]:
    asked = server.forward_auth
    for key, header in (("target", asked.target), ("host", asked.host), ("method", asked.method)):
        if header and not _HEADER.fullmatch(header):
            yield f"server.forward_auth.{key}", "is no header name"
    if asked.target and not server.trusted_proxies:
        yield "server.forward_auth.target", "is set, and server.trusted_proxies names nobody who may ask"


def _networks(path: str, networks: tuple[str, ...]) -> Iterator[Found]:
    for index, network in enumerate(networks):
        try:
            ip_network(network)
        except ValueError:
            yield f"{path}[{index}]", f"should be a network such as 10.0.0.0/8 or 2001:db8::/32, not {network[:80]!r}"


def _names(settings: Settings) -> Iterator[Found]:
    for section in ("origins", "presets", "watermarks", "cdns"):
        for name in getattr(settings, section):
            if not _NAME.fullmatch(name):
                yield f"{section}.{name}", "a name has lower-case letters, digits, - and _, at most 63 of them"


def _render(settings: Settings) -> Iterator[Found]:
    for name in settings.render.quality:
        if name not in ("jpeg", "webp", "avif"):
            yield f"render.quality.{name}", "a quality is for jpeg, webp or avif"


def _origin(path: str, origin: OriginSettings) -> Iterator[Found]:
    url = _split(origin.url)
    fault = _url_fault(url)
    if fault:
        yield f"{path}.url", fault
    yield from _networks(f"{path}.allow_networks", origin.allow_networks)
    yield from _headers(path, origin)
    s3_only = {
        "endpoint": origin.endpoint,
        "access_key_id": origin.access_key_id,
        "secret_access_key": origin.secret_access_key,
    }
    if url is not None and url.scheme != "s3":
        for key, value in s3_only.items():
            if value:
                yield f"{path}.{key}", "is for s3: origins only"
    if origin.endpoint and not _is_web(_split(origin.endpoint)):
        yield f"{path}.endpoint", "should be an address with scheme and host, such as https://s3.example.com"
    if bool(origin.access_key_id) != bool(origin.secret_access_key):
        yield path, "access_key_id and secret_access_key are given together or not at all"


def _cdn(path: str, cdn: CdnSettings) -> Iterator[Found]:
    if not cdn.kind:  # faulty already
        return
    traits = CDN_TRAITS[cdn.kind]
    for key in traits.needs:
        if not getattr(cdn, key):
            yield f"{path}.{key}", f"is missing; {cdn.kind} needs {', '.join(traits.needs)}"
    for key in _CDN_KEYS:
        if getattr(cdn, key) and key not in (*traits.needs, *traits.takes):
            yield f"{path}.{key}", f"is not for {cdn.kind}, which needs {', '.join(traits.needs)}"
        elif isinstance(value := getattr(cdn, key), str) and not (value.isascii() and value.isprintable()):
            yield f"{path}.{key}", "holds a character that cannot be sent; is there a line break at its end?"
    if cdn.zone and not _ZONE.fullmatch(cdn.zone):
        yield f"{path}.zone", "should be an id of letters, digits, - and _"
    if cdn.tag_header and not _HEADER.fullmatch(cdn.tag_header):
        yield f"{path}.tag_header", "is no header name"
    if cdn.endpoint:
        yield from _bare(f"{path}.endpoint", cdn.endpoint)
    for index, address in enumerate(cdn.addresses):
        yield from _bare(f"{path}.addresses[{index}]", address)


def _bare(path: str, address: str) -> Iterator[Found]:
    url = _split(address)
    if url is None or not _is_web(url) or url.username is not None or url.path.strip("/") or url.query or url.fragment:
        yield path, "should be scheme and host alone, such as https://api.example.com"


def _fronted(path: str, site: SiteSettings, settings: Settings) -> Iterator[Found]:
    known = [name for name in site.cdns if name in settings.cdns and settings.cdns[name].kind]
    for index, name in enumerate(site.cdns):
        if name not in settings.cdns:
            yield f"{path}[{index}]", _absent("CDN", name, settings.cdns)
        elif name in site.cdns[:index]:
            yield f"{path}[{index}]", f"{name!r} is named already"
    if site.cdns and not site.shared_caches:
        yield path, "is set, and shared_caches is not: no CDN may keep what there is to purge"
    for name in known:
        if not settings.cdns[name].tagged_in and not site.base_url:
            yield path, f"{name} finds pictures by their URL; base_url should be scheme and host as viewers see them"
    cdns = [settings.cdns[name] for name in known]
    fields = sorted((cdn.tagged_in.lower(), CDN_TRAITS[cdn.kind].separator) for cdn in cdns)
    for (one, comma), (other, blank) in pairwise(fields):
        if one and one == other and comma != blank:
            yield path, f"two of them read {one} in different ways; set tag_header of one to another name"


def _notify(settings: Settings) -> Iterator[Found]:
    notify = settings.notify
    for index, webhook in enumerate(notify.webhooks):
        path = f"notify.webhooks[{index}]"
        url = _split(webhook.url)
        if webhook.url and (url is None or not _is_web(url) or url.username is not None or url.fragment):
            yield f"{path}.url", "should be an address with scheme and host"
        key = read_base64(webhook.secret.removeprefix("whsec_"))
        if webhook.secret and (not webhook.secret.startswith("whsec_") or key is None or not 24 <= len(key) <= 64):
            yield f"{path}.secret", "should be whsec_ and 24 to 64 bytes in base64"
    if notify.mail.server:
        yield from _mail(notify.mail)
    if notify.runbook and not _is_web(_split(notify.runbook)):
        yield "notify.runbook", "should be an address with scheme and host"


def _mail(mail: MailSettings) -> Iterator[Found]:
    if not _ADDRESS.fullmatch(mail.server):
        yield "notify.mail.server", "should be HOST:PORT such as mail.example.com:587"
    if not mail.recipients:
        yield "notify.mail.recipients", "is missing; who shall get the mail?"
    for path, address in (("sender", mail.sender), *((f"recipients[{i}]", a) for i, a in enumerate(mail.recipients))):
        # A line break would let an address write further fields into the mail (header injection).
        if not _MAILBOX.fullmatch(address):
            yield f"notify.mail.{path}", "should be an address such as oncall@example.com"
    if bool(mail.user) != bool(mail.password):
        yield "notify.mail", "user and password are given together or not at all"
    if mail.user and mail.security == "none":
        yield "notify.mail.security", "none would send the password in clear"


def _split(url: str) -> SplitResult | None:
    """None for what is no URL at all, such as a bracket left open or a port out of range."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_web(url: SplitResult | None) -> bool:
    return url is not None and url.scheme in ("http", "https") and bool(url.hostname)


def _url_fault(url: SplitResult | None) -> str:
    if url is None:
        return "is not a URL"
    if url.scheme not in _SCHEMES:
        return f"should begin with one of {', '.join(f'{scheme}:' for scheme in _SCHEMES)}"
    if url.username is not None or url.password is not None:
        return "holds credentials, which would end in logs; set headers.Authorization or the s3 keys instead"
    if url.scheme == "file":
        return (
            ""
            if url.path.strip("/") and not url.netloc
            else "should name a folder: file:./pictures or file:///srv/pictures"
        )
    if not url.hostname:
        return f"should name a {'bucket' if url.scheme == 's3' else 'host'} after {url.scheme}://"
    if url.fragment or (url.query and url.scheme != "s3"):
        return "should end with its path; the object's key is appended to it"
    return ""


def _headers(path: str, origin: OriginSettings) -> Iterator[Found]:
    for name, value in origin.headers.items():
        if not _HEADER.fullmatch(name):
            yield f"{path}.headers.{name}", "is no header name"
        # A line break would let one header's value write further headers (header injection).
        elif not value.isprintable():
            yield f"{path}.headers.{name}", "holds a control character; is there a line break at its end?"


def _site(path: str, site: SiteSettings, settings: Settings, dialects: Dialects | None) -> Iterator[Found]:
    if site.origin not in settings.origins:
        yield f"{path}.origin", _absent("origin", site.origin, settings.origins)
    if site.watermark and site.watermark not in settings.watermarks:
        yield f"{path}.watermark", _absent("watermark", site.watermark, settings.watermarks)
    if site.policy and not settings.policies:
        yield f"{path}.policy", "is set, and `policies` names no folder of templates"
    yield from _accepted(path, site, dialects)
    if site.match.host != "*" and not _HOST.fullmatch(site.match.host):
        yield f"{path}.match.host", "should be a host name in lower case and without port, or *"
    if not _PREFIX.fullmatch(site.match.prefix):
        yield f"{path}.match.prefix", "should begin and end with a slash, such as /shop/"
    yield from _addresses(path, site)
    yield from _networks(f"{path}.networks", site.networks)
    yield from _catalogue(f"{path}.catalogue", site.catalogue)
    if dialects is not None:
        yield from _options(f"{path}.dialects", site, dialects)
        yield from _waivers(path, site, dialects)
    if site.presets_only and not settings.presets:
        yield f"{path}.presets_only", "is set, and there are no presets"


def _accepted(path: str, site: SiteSettings, dialects: Dialects | None) -> Iterator[Found]:
    for index, dialect in enumerate(site.accept):
        if dialects is not None and dialect not in dialects:
            yield f"{path}.accept[{index}]", _absent("dialect", dialect, dialects)
        elif dialect in site.accept[:index]:
            yield f"{path}.accept[{index}]", f"{dialect!r} is accepted already"
        elif dialects is not None:
            yield from _needs(path, f"{path}.accept[{index}]", site, dialect, dialects[dialect])
    if site.outer and site.outer in site.accept:
        yield f"{path}.outer", f"{site.outer!r} is accepted already; what both must pass are two dialects"


def _catalogue(path: str, pattern: str) -> Iterator[Found]:
    try:
        Catalogue(pattern or "{brand}")
    except ValueError as error:
        yield path, str(error)


def _addresses(path: str, site: SiteSettings) -> Iterator[Found]:
    url = _split(site.base_url)
    if site.base_url and (not _is_web(url) or url is None or url.path.strip("/") or url.query or url.fragment):
        yield f"{path}.base_url", "should be scheme and host alone, such as https://img.example.com"
    for index, source in enumerate(site.sources):
        prefix = _split(source)
        # Without its last slash https://a.example would also mean https://a.example.attacker.example.
        placed = prefix is not None and bool(prefix.netloc or prefix.scheme == "local")
        if prefix is None or not prefix.scheme or not placed or not source.endswith("/") or "?" in source:
            yield (
                f"{path}.sources[{index}]",
                "should be a URL with scheme and host (or local:///) that ends with a slash",
            )


def _needs(path: str, accepted: str, site: SiteSettings, dialect: str, use: DialectUse) -> Iterator[Found]:
    """What a dialect cannot do without: no URL of it would ever open the site."""
    if use.signs_base_url and not site.base_url:
        host = "img.example.com" if site.match.host == "*" else site.match.host
        example = f"such as https://{host}"
        yield accepted, f"{dialect} signs scheme and host: {path}.base_url should be those that viewers have, {example}"
    for option in use.options:
        if option.required and option.name not in site.dialects.get(dialect, {}):
            where = f"{path}.dialects.{dialect}.{option.name}"
            yield accepted, f"{dialect} needs {where}, which should be {option.expected}"


def _options(path: str, site: SiteSettings, dialects: Dialects) -> Iterator[Found]:
    for name, written in site.dialects.items():
        if name not in (*site.accept, site.outer):
            yield f"{path}.{name}", f"this site does not accept {name[:80]!r}{suggestion(name, site.accept)}"
            continue
        declared = {option.name: option for option in dialects[name].options} if name in dialects else {}
        for key, value in written.items():
            if key not in declared:
                yield f"{path}.{name}.{key}", _absent("option", key, declared)
                continue
            try:
                declared[key].read(value)
            except ValueError as error:
                yield f"{path}.{name}.{key}", f"should be {error}"


def _waivers(path: str, site: SiteSettings, dialects: Dialects) -> Iterator[Found]:
    """What a dialect cannot keep must be waived by name: to accept it is not to know it. Or an outer one keeps it."""
    if site.outer:
        return
    for index, name in enumerate(site.accept):
        written = site.dialects.get(name, {})
        for option in dialects[name].options if name in dialects else ():
            if option.waives and written.get(option.name) != "true":
                line = f"dialects: {{ {name}: {{ {option.name}: true }} }}"
                yield f"{path}.accept[{index}]", f"{name}: {option.waives}; to take them all the same, add {line}"


def _absent(what: str, name: str, known: Collection[str]) -> str:
    hint = suggestion(name, known)
    there = f"there is {', '.join(sorted(known)[:8])}" if known else "there is none"
    return f"no {what} is called {name[:80]!r}{hint or f'; {there}'}"


def _twins(settings: Settings, key: str, identity: Callable[[SiteSettings], str]) -> Iterator[Found]:
    first: dict[str, int] = {}
    for index, site in enumerate(settings.sites):
        if not site.name:  # faulty already
            continue
        earlier = first.setdefault(identity(site), index)
        if earlier != index:
            yield f"sites[{index}].{key}", f"{identity(site)!r} is taken already by sites[{earlier}]"
