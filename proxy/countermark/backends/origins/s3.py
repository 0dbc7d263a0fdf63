"""Originals in a bucket: `s3://bucket/prefix?region=eu-central-1`, through obstore (the extra `cloud`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from countermark.backends.origins.key import checked, missing
from countermark.core.errors import (
    ConfigurationInvalid,
    CountermarkError,
    Fault,
    OriginDenied,
    OriginTimeout,
    OriginUnreachable,
    PictureTooLarge,
)
from countermark.core.picture import OriginFacts
from countermark.ports import ByteRange, OriginBody, Parcel
from countermark.settings.model import OriginSettings

T = TypeVar("T")

CHUNK = 2**18

# The library's timeout counts a whole transfer, also a long stream's. Ours count each step instead.
_NEVER = timedelta(days=1)


class S3Origin:
    """One bucket. The library keeps the connections; the semaphore bounds how many are in use."""

    def __init__(self, name: str, store: S3Store, settings: OriginSettings) -> None:
        self._name = name
        self._store = store
        self._settings = settings
        self._places = asyncio.Semaphore(settings.connections)
        self.read_timeout = settings.read_timeout
        self._limit = max(settings.max_bytes, settings.max_stream_bytes)

    async def stat(self, key: str) -> OriginFacts:
        async with self._place(key):
            meta = await self._within_header_time(key, obstore.head_async(self._store, checked(key)))
            return self._bounded(_facts(meta))

    @asynccontextmanager
    async def open(self, key: str, byte_range: ByteRange | None = None) -> AsyncGenerator[OriginBody]:
        options: obstore.GetOptions = {"range": (byte_range.first, byte_range.last + 1)} if byte_range else {}
        async with self._place(key):
            result = await self._within_header_time(key, obstore.get_async(self._store, checked(key), options=options))
            body = _S3Body(self, key, result, self._bounded(_facts(result.meta)))
            del result
            try:
                yield body
            finally:
                body.abandon()

    async def close(self) -> None:
        """Nothing is held open: the library ends idle connections by itself."""

    async def within(self, seconds: float, key: str, call: Awaitable[T]) -> T:
        """Await a call of the library and say its errors in the words of the house."""
        try:
            async with asyncio.timeout(seconds):
                return await call
        except (BaseError, OSError, ValueError) as error:
            raise _translated(error, f"{self._name}: {key!r}") from error

    async def _within_header_time(self, key: str, call: Awaitable[T]) -> T:
        return await self.within(self._settings.connect_timeout + self._settings.read_timeout, key, call)

    @asynccontextmanager
    async def _place(self, key: str) -> AsyncGenerator[None]:
        await self.within(self._settings.connect_timeout, key, self._places.acquire())
        try:
            yield
        finally:
            self._places.release()

    def _bounded(self, facts: OriginFacts) -> OriginFacts:
        if facts.size is not None and facts.size > self._limit:
            raise PictureTooLarge("The original is larger than this gateway passes on.", private=f"{facts.size} bytes")
        return facts


class _S3Body:
    """A transfer that is under way. Dropping the library's stream is what ends it."""

    def __init__(self, origin: S3Origin, key: str, result: obstore.GetResult, facts: OriginFacts) -> None:
        self._origin = origin
        self._key = key
        self._facts = facts
        first, end = result.range
        self._length = end - first
        self._stream: obstore.BytesStream | None = result.stream(min_chunk_size=CHUNK)

    @property
    def facts(self) -> OriginFacts:
        return self._facts

    async def pour(self, parcel: Parcel) -> None:
        async for chunk in self.chunks():
            parcel.write(chunk)

    async def chunks(self) -> AsyncIterator[bytes]:
        left = self._length
        while left > 0:
            chunk = await self._next()
            left -= len(chunk)
            if not chunk or left < 0:
                raise OriginUnreachable("The origin sent more or less than it said.", private=f"key {self._key!r}")
            yield chunk

    def abandon(self) -> None:
        self._stream = None

    async def _next(self) -> bytes:
        stream = self._stream
        if stream is None:
            return b""
        return await self._origin.within(self._origin.read_timeout, self._key, anext(stream, b""))


def _facts(meta: obstore.ObjectMeta) -> OriginFacts:
    return OriginFacts(size=meta["size"], etag=meta["e_tag"] or "", modified=meta["last_modified"].timestamp())


def _translated(error: Exception, private: str) -> CountermarkError:
    summary = str(error).partition("\n")[0]
    private = f"{private}: {type(error).__name__}: {summary}"
    if isinstance(error, FileNotFoundError):
        return missing("", private=private)
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        return OriginDenied("The origin does not accept this gateway's credentials.", private=private)
    # The library has no class for its own connect timeout, only the cause in its text.
    if isinstance(error, TimeoutError) or "TimedOut" in str(error):
        return OriginTimeout("The origin took too long to answer.", private=private)
    return OriginUnreachable("The origin cannot be reached or failed.", private=private)


async def open_s3(name: str, settings: OriginSettings) -> S3Origin:
    """The origin of an `s3:` address. Raises ConfigurationInvalid."""
    bucket, prefix, region = _parse_address(name, settings.url)
    config: obstore.store.S3Config = {"region": region} if region else {}
    if bool(settings.access_key_id) != bool(settings.secret_access_key):
        raise _fault(name, "access_key_id", "a static key needs both access_key_id and secret_access_key")
    if settings.access_key_id:
        config["access_key_id"] = settings.access_key_id
        config["secret_access_key"] = settings.secret_access_key
    if settings.endpoint:
        if urlsplit(settings.endpoint).scheme not in ("http", "https") or not urlsplit(settings.endpoint).netloc:
            raise _fault(name, "endpoint", "write it with scheme and host, like https://s3.example.com")
        config["endpoint"] = settings.endpoint
    try:
        store = S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options={
                "allow_http": settings.endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=settings.connect_timeout),
                "timeout": _NEVER,
                "user_agent": "countermark",
            },
            retry_config={"max_retries": 0},
        )
    except (BaseError, ValueError) as error:
        raise _fault(name, "url", f"not a bucket that can be opened: {error}") from error
    return S3Origin(name, store, settings)


def _parse_address(name: str, url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if not parts.netloc or parts.fragment or any(field != "region" for field, _ in query) or len(query) > 1:
        raise _fault(name, "url", "write a bucket's address as s3://bucket/prefix?region=eu-central-1")
    return parts.netloc, unquote(parts.path).strip("/"), dict(query).get("region", "")


def _fault(name: str, field: str, message: str) -> ConfigurationInvalid:
    return ConfigurationInvalid([Fault(path=f"origins.{name}.{field}", message=message)])
