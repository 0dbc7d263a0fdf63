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
from countermark.settings.model import (
    CdnSettings,
    HopSettings,
    MailSettings,
    OriginSettings,
    ServerSettings,
    Settings,
    SiteSettings,
)
from countermark.settings.option import DialectUse
from countermark.settings.store_url import store_fault

Found = tuple[str, str]
Dialects = Mapping[str, DialectUse]
"""What each signature dialect lets a site set, and needs."""

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", re.ASCII)
_PREFIX = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]+/)*", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_FINGERPRINT = re.compile(r"(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}", re.ASCII)
_LEAST_SECRET = 15  # as long as the ones that KeyCDN makes; they count with the networks only
_OF_CDNS = frozenset(
    {
        "CF-Connecting-IP",
        "True-Client-IP",
        "Fastly-Client-IP",
        "Fly-Client-IP",
        "X-Azure-SocketIP",
        "CloudFront-Viewer-Address",
    }
)
_CDNS = frozenset({"akamai", "azure", "bunny", "cloudflare", "cloudfront", "fastly", "google", "vercel"})
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
    if fault := store_fault(settings.store):
        yield "store", fault
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
    yield from _networks("server.proxy_protocol", server.proxy_protocol)
    yield from _forward_auth(server)
    if server.country_header and not _HEADER.fullmatch(server.country_header):
        yield "server.country_header", "is no header name"
    if server.hops and server.trusted_proxies:
        yield (
            "server.trusted_proxies",
            "is the short form of one hop; write it as server.hops.NAME: {networks: [...], address: X-Forwarded-For}",
        )
    if server.hops and server.country_header:
        yield (
            "server.country_header",
            "belongs to server.trusted_proxies; write it into its hop as country: header, country_header: "
            f"{server.country_header[:80]}",
        )
    for name, hop in server.hops.items():
        yield from _hop(f"server.hops.{name}", hop, settings)


def _hop(path: str, hop: HopSettings, settings: Settings) -> Iterator[Found]:
    yield from _networks(f"{path}.networks", hop.networks)
    yield from _networks(f"{path}.through", hop.through)
    if not hop.networks and not hop.signed:
        yield f"{path}.networks", "are missing; only a hop that signs its requests is known without them"
    yield from _proofs(path, hop)
    yield from _address_source(path, hop, settings.server)
    yield from _country_source(path, hop, settings)
    proved = hop.secret or hop.client_certificates or hop.client_authorities or hop.signed
    vendor = hop.address in _OF_CDNS or hop.country in _CDNS
    if vendor and not proved and any(not _is_inner(network) for network in hop.networks):
        # Whoever is a customer of the same CDN sends from the same networks, and says there whatever he likes.
        yield path, "reads a CDN's fields, and its networks are those of every customer: add secret_header and secret"


def _proofs(path: str, hop: HopSettings) -> Iterator[Found]:
    if bool(hop.secret_header) != bool(hop.secret):
        yield path, "secret_header and secret are given together or not at all"
    if hop.secret_header and not _HEADER.fullmatch(hop.secret_header):
        yield f"{path}.secret_header", "is no header name"
    if hop.next_secret and not hop.secret:
        yield f"{path}.next_secret", "is a second secret, and there is no first one"
    for key, secret in (("secret", hop.secret), ("next_secret", hop.next_secret)):
        if secret and (len(secret) < _LEAST_SECRET or not secret.isascii() or not secret.isprintable()):
            yield f"{path}.{key}", f"should be {_LEAST_SECRET} printable ASCII characters or more"
    for index, fingerprint in enumerate(hop.client_certificates):
        if not _FINGERPRINT.fullmatch(fingerprint):
            yield f"{path}.client_certificates[{index}]", "should be 64 hexadecimal digits, with or without colons"
    if hop.client_certificates and hop.client_authorities:
        yield f"{path}.client_authorities", "are given in place of client_certificates, not besides"
    if (hop.client_certificates or hop.client_authorities) and not hop.networks:
        yield (
            f"{path}.networks",
            "must name the TLS terminator that hands on Client-Cert: anybody could send that field",
        )


def _address_source(path: str, hop: HopSettings, server: ServerSettings) -> Iterator[Found]:
    if hop.address == "proxy-protocol" and not server.proxy_protocol:
        yield f"{path}.address", "is proxy-protocol, and server.proxy_protocol names nobody who sends it"
    for key, given in (("through", hop.through), ("count", hop.count)):
        if given and hop.address not in ("X-Forwarded-For", "Forwarded"):
            yield f"{path}.{key}", "is for address: X-Forwarded-For or Forwarded"
    if hop.through and hop.count:
        yield f"{path}.count", "counts places, and through names networks; give one of them"


def _country_source(path: str, hop: HopSettings, settings: Settings) -> Iterator[Found]:
    named = hop.country in ("azure", "fastly", "google", "header")
    if named and not hop.country_header:
        yield f"{path}.country_header", f"is missing: with country: {hop.country} you name the header yourself"
    for key, header in (("country_header", hop.country_header), ("region_header", hop.region_header)):
        if header and not named:
            yield f"{path}.{key}", "is for country: azure, fastly, google or header"
        elif header and not _HEADER.fullmatch(header):
            yield f"{path}.{key}", "is no header name"
    if hop.country == "mmdb" and not settings.geo.database:
        yield f"{path}.country", "is mmdb, and geo.database names no file"


def _is_inner(network: str) -> bool:
    try:
        return ip_network(network).is_private
    except ValueError:  # told already
        return True


def _forward_auth(server: ServerSettings) -> Iterator[Found]:
    asked = server.forward_auth
    for key, header in (("target", asked.target), ("host", asked.host), ("method", asked.method)):
        if header and not _HEADER.fullmatch(header):
            yield f"server.forward_auth.{key}", "is no header name"
    if asked.target and not server.trusted_proxies and not server.hops:
        yield "server.forward_auth.target", "is set, and neither trusted_proxies nor hops name anybody who may ask"


def _networks(path: str, networks: tuple[str, ...]) -> Iterator[Found]:
    for index, network in enumerate(networks):
        try:
            ip_network(network)
        except ValueError:
            yield f"{path}[{index}]", f"should be a network such as 10.0.0.0/8 or 2001:db8::/32, not {network[:80]!r}"


def _names(settings: Settings) -> Iterator[Found]:
    sections = {name: getattr(settings, name) for name in ("origins", "presets", "watermarks", "cdns")}
    for section, names in {**sections, "server.hops": settings.server.hops}.items():
        for name in names:
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
    web_only = {"allow_networks": origin.allow_networks, "headers": origin.headers, "redirects": origin.redirects}
    s3_only = {
        "endpoint": origin.endpoint,
        "access_key_id": origin.access_key_id,
        "secret_access_key": origin.secret_access_key,
    }
    # What bounds nothing here must not be believed to.
    for schemes, values in ((("http", "https"), web_only), (("s3",), s3_only)):
        for key, value in values.items():
            if url is not None and url.scheme not in schemes and value:
                yield f"{path}.{key}", f"is for {': and '.join(schemes)}: origins only"
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
