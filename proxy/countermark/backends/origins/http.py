"""Originals behind HTTP: `https://photos.internal/base`, the key percent-encoded and appended to the path."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
)
from msgspec import Struct
from yarl import URL

from countermark.backends.origins.addresses import AddressRefused, parse_networks
from countermark.backends.origins.key import checked, missing
from countermark.backends.origins.pool import Pool
from countermark.core.errors import (
    ConfigurationInvalid,
    CountermarkError,
    Fault,
    OriginDenied,
    OriginForbidden,
    OriginTimeout,
    OriginUnreachable,
    PictureTooLarge,
)
from countermark.core.picture import OriginFacts
from countermark.ports import ByteRange, OriginBody, Parcel
from countermark.settings.model import OriginSettings

BUFFER = 2**18

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_METHOD_UNKNOWN = frozenset({405, 501})
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,200}"')
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_DIGITS = re.compile(r"[0-9]{1,18}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"[\x20-\x7e\x80-\xff]*")
_OWN_HEADERS = frozenset({"accept-encoding", "connection", "content-length", "range", "transfer-encoding"})
_FIRST_BYTE = ByteRange(0, 0)


class _Part(Struct, frozen=True):
    """Which of an answer's bytes are wanted: `skip` first, then `take` (None: all), of an object of `size` bytes."""

    size: int | None
    skip: int = 0
    take: int | None = None


class HttpOrigin:
    """One pool of connections to one origin. Bodies arrive as they were sent; nothing is decoded.

    A request whose connection dies before the answer's header is sent once more (by aiohttp, RFC 9110 §9.2.2).
    """

    def __init__(self, name: str, base: URL, session: ClientSession, settings: OriginSettings) -> None:
        self._name = name
        self._base = base
        self._session = session
        self._settings = settings
        self._limit = max(settings.max_bytes, settings.max_stream_bytes)
        # The read timeout starts anew with each byte; without this one a dripping header would hold us for ever.
        self._header_timeout = settings.connect_timeout + settings.read_timeout

    async def stat(self, key: str) -> OriginFacts:
        url = self._url(key)
        response = await self._request("HEAD", url, {})
        try:
            if response.status not in _METHOD_UNKNOWN:
                _accept(key, response)
                return self._bounded(_facts(response, _content_length(response)))
        finally:
            response.release()
        return await self._stat_by_get(key, url)

    @asynccontextmanager
    async def open(self, key: str, byte_range: ByteRange | None = None) -> AsyncGenerator[OriginBody]:
        response = await self._request("GET", self._url(key), _range_header(byte_range))
        try:
            _accept(key, response)
            _demand_framing(response)
            part = _part(response, byte_range)
            yield _HttpBody(response, self._bounded(_facts(response, part.size)), part, self._limit)
        finally:
            response.release()  # closes the connection unless the body was read to its end

    async def close(self) -> None:
        await self._session.close()

    async def _stat_by_get(self, key: str, url: URL) -> OriginFacts:
        response = await self._request("GET", url, _range_header(_FIRST_BYTE))
        try:
            if response.status == 416 and response.headers.get("Content-Range") == "bytes */0":
                return _facts(response, 0)
            _accept(key, response)
            return self._bounded(_facts(response, _part(response, _FIRST_BYTE).size))
        finally:
            response.release()

    async def _request(self, method: str, url: URL, headers: dict[str, str]) -> ClientResponse:
        """The first answer that is not a redirect. Each hop is a request of its own, so each address is checked."""
        for _ in range(self._settings.redirects + 1):
            response = await self._send(method, url, headers)
            if response.status not in _REDIRECTS:
                return response
            response.release()
            url = _redirected(url, response)
        raise OriginUnreachable("The origin redirects more often than it may.", private=f"{self._name}: to {url}")

    async def _send(self, method: str, url: URL, headers: dict[str, str]) -> ClientResponse:
        if url.origin() == self._base.origin():  # another host must not get the credentials in the configured headers
            headers = self._settings.headers | headers
        try:
            async with asyncio.timeout(self._header_timeout):
                return await self._session.request(method, url, headers=headers, allow_redirects=False)
        except (ClientError, TimeoutError, OSError, ValueError) as error:
            raise _translated(error, f"{self._name}: {method} {url}") from error

    def _url(self, key: str) -> URL:
        path = quote(checked(key), safe="/-._~")
        return URL(f"{self._base}/{path}", encoded=True)

    def _bounded(self, facts: OriginFacts) -> OriginFacts:
        if facts.size is not None and facts.size > self._limit:
            raise _too_large(facts.size)
        return facts


class _HttpBody:
    """An answer's body, or the wanted part of it."""

    def __init__(self, response: ClientResponse, facts: OriginFacts, part: _Part, limit: int) -> None:
        self._response = response
        self._facts = facts
        self._part = part
        self._limit = limit

    @property
    def facts(self) -> OriginFacts:
        return self._facts

    async def pour(self, parcel: Parcel) -> None:
        async for chunk in self.chunks():
            parcel.write(chunk)

    async def chunks(self) -> AsyncIterator[bytes]:
        first = self._part.skip
        end = None if self._part.take is None else first + self._part.take
        position = 0
        while end is None or position < end:
            chunk = await self._next()
            if not chunk:
                break
            start, position = position, position + len(chunk)
            if position > self._limit:
                raise _too_large(position)
            if wanted := chunk[max(first - start, 0) : None if end is None else end - start]:
                yield wanted
        if first and position <= first:
            raise OriginUnreachable("The origin's object ends before the range that was asked for.")

    async def _next(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (ClientError, TimeoutError, OSError) as error:
            raise _translated(error, f"GET {self._response.url}") from error


def _range_header(byte_range: ByteRange | None) -> dict[str, str]:
    return {"Range": f"bytes={byte_range.first}-{byte_range.last}"} if byte_range else {}


def _accept(key: str, response: ClientResponse) -> None:
    """Raise what a status means unless it is a success, and refuse a body in another coding than its own."""
    private = f"{response.status} for {response.method} {response.url}"
    if response.status in (404, 410):
        raise missing(key, private=private)
    if response.status in (401, 403):
        raise OriginDenied("The origin does not accept this gateway's credentials.", private=private)
    if response.status not in (200, 206):
        raise OriginUnreachable("The origin failed.", private=private)
    # Identity was asked for. A coded body could unfold to a thousand times its size (gzip bomb).
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise OriginUnreachable("The origin answered in a content coding that was not asked for.", private=private)


def _demand_framing(response: ClientResponse) -> None:
    """A body that ends with its connection looks whole when it was cut; half a picture would be cached as whole."""
    coding = response.headers.getall("Transfer-Encoding", [])
    length = _content_length(response)
    if coding and length is not None:  # two readers would disagree about where the body ends (response smuggling)
        raise OriginUnreachable("The origin's answer states its length in two ways.", private=str(response.url))
    if length is None and [text.strip().lower() for text in coding] != ["chunked"]:
        raise OriginUnreachable("The origin's answer does not say where it ends.", private=str(response.url))


def _content_length(response: ClientResponse) -> int | None:
    values = response.headers.getall("Content-Length", [])
    if not values:
        return None
    if len(values) > 1 or not _DIGITS.fullmatch(values[0]):
        raise OriginUnreachable("The origin's answer has no clear length.", private=f"Content-Length {values!r}")
    return int(values[0])


def _part(response: ClientResponse, wanted: ByteRange | None) -> _Part:
    """Where in the answer the wanted bytes are. An origin may ignore a range (200), but not answer another one."""
    length = _content_length(response)
    if response.status == 200:
        return _Part(length, wanted.first, wanted.last - wanted.first + 1) if wanted else _Part(length)
    text = response.headers.get("Content-Range", "")
    found = _CONTENT_RANGE.fullmatch(text)
    if not wanted or not found:
        raise _wrong_range(text)
    first, last = int(found[1]), int(found[2])
    size = None if found[3] == "*" else int(found[3])
    expected = wanted.last if size is None else min(wanted.last, size - 1)
    if (first, last) != (wanted.first, expected) or length not in (None, last - first + 1):
        raise _wrong_range(text)
    return _Part(size, take=last - first + 1)


def _facts(response: ClientResponse, size: int | None) -> OriginFacts:
    etag = response.headers.get("ETag", "")
    modified = _parse_date(response.headers.get("Last-Modified", ""))
    return OriginFacts(size=size, etag=etag if _ETAG.fullmatch(etag) else "", modified=modified)


def _parse_date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _redirected(url: URL, response: ClientResponse) -> URL:
    location = response.headers.get("Location", "")
    private = f"from {url} to {location!r}"
    try:
        target = url.join(URL(location, encoded=location.isascii()))
        port = target.port
    except ValueError as error:
        raise OriginUnreachable("The origin redirects to an address that makes no sense.", private=private) from error
    if not location or not target.host or port is None or target.scheme not in ("http", "https"):
        raise OriginUnreachable("The origin redirects to an address that makes no sense.", private=private)
    if target.user is not None or (url.scheme, target.scheme) == ("https", "http"):
        raise OriginForbidden("The origin redirects to an address that it may not have.", private=private)
    return target.with_fragment(None)


def _translated(error: Exception, private: str) -> CountermarkError:
    private = f"{private}: {error!r}"
    if isinstance(error, TimeoutError):
        return OriginTimeout("The origin took too long to answer.", private=private)
    if isinstance(error, ClientConnectorError) and isinstance(error.os_error, AddressRefused):
        return OriginForbidden("The origin leads to an address that it may not have.", private=private)
    return OriginUnreachable("The origin cannot be reached or cut its answer short.", private=private)


def _wrong_range(text: str) -> OriginUnreachable:
    return OriginUnreachable(
        "The origin answered with another range than asked for.", private=f"Content-Range {text!r}"
    )


def _too_large(size: int) -> PictureTooLarge:
    return PictureTooLarge("The original is larger than this gateway passes on.", private=f"at least {size} bytes")


async def open_http(name: str, settings: OriginSettings) -> HttpOrigin:
    """The origin of an `http:` or `https:` address. Raises ConfigurationInvalid; call it in the loop that will use it."""
    base = _base_of(name, settings.url)
    allowed = parse_networks(settings.allow_networks, path=f"origins.{name}.allow_networks")
    _check_headers(name, settings.headers)
    session = ClientSession(
        connector=Pool(settings.connections, allowed),
        timeout=ClientTimeout(
            total=None,  # streams have no end time; the caller bounds what it fetches whole
            connect=settings.connect_timeout,  # also the wait for a place in the pool
            sock_connect=settings.connect_timeout,
            sock_read=settings.read_timeout,
        ),
        headers={"Accept-Encoding": "identity", "User-Agent": "countermark"},
        auto_decompress=False,
        cookie_jar=DummyCookieJar(),
        trust_env=False,  # a proxy from the environment would go around the address check
        read_bufsize=BUFFER,
    )
    return HttpOrigin(name, base, session, settings)


def _base_of(name: str, text: str) -> URL:
    try:
        url = URL(text)
        port = url.port
    except ValueError as error:
        raise _fault(f"origins.{name}.url", f"not an address: {error}") from error
    if not url.host or port is None or url.raw_query_string or url.raw_fragment:
        raise _fault(f"origins.{name}.url", "needs a host, and has no query and no fragment")
    if url.user is not None:
        raise _fault(f"origins.{name}.url", "holds a user; write credentials as a header under `headers`")
    return URL(str(url).rstrip("/"), encoded=True)


def _check_headers(name: str, headers: dict[str, str]) -> None:
    for field, value in headers.items():
        if not _TOKEN.fullmatch(field) or not _FIELD_VALUE.fullmatch(value):
            raise _fault(f"origins.{name}.headers", f"{field!r} cannot be sent as a header")
        if field.lower() in _OWN_HEADERS:
            raise _fault(f"origins.{name}.headers", f"{field!r} is set by the gateway itself")


def _fault(path: str, message: str) -> ConfigurationInvalid:
    return ConfigurationInvalid([Fault(path=path, message=message)])
