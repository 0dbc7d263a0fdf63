"""One rendition as a file: prologue, meta (MessagePack, without the body), body."""

from __future__ import annotations

import zlib
from struct import Struct as Layout

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from countermark.core.picture import Rendition

_MAGIC = b"CMK1"  # the digit is the layout's version
_PROLOGUE = Layout(">4sIIQ")  # magic, checksum of all that follows it, length of the meta, length of the body
_CHECKED_FROM = 8


class Torn(Exception):
    """The bytes are not a whole entry of that key."""


class _Meta(Struct, frozen=True):
    key: bytes
    rendition: Rendition


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Meta).decode


def pack(key: bytes, rendition: Rendition) -> tuple[bytes, bytes]:
    """The entry's head and its body, to be written one after the other."""
    meta = _encode(_Meta(key, replace(rendition, body=b"")))
    body = rendition.body
    unchecked = _PROLOGUE.pack(_MAGIC, 0, len(meta), len(body))
    checksum = zlib.crc32(body, zlib.crc32(meta, zlib.crc32(unchecked[_CHECKED_FROM:])))
    return _PROLOGUE.pack(_MAGIC, checksum, len(meta), len(body)) + meta, body


def unpack(key: bytes, data: bytes) -> Rendition:
    """The rendition that `pack` was given. Raises Torn where a byte is missing or changed, or the key is another."""
    if len(data) < _PROLOGUE.size:
        raise Torn
    magic, checksum, meta_length, body_length = _PROLOGUE.unpack_from(data)
    start = _PROLOGUE.size + meta_length
    if magic != _MAGIC or len(data) != start + body_length:
        raise Torn
    if zlib.crc32(memoryview(data)[_CHECKED_FROM:]) != checksum:
        raise Torn
    try:
        meta = _decode(memoryview(data)[_PROLOGUE.size : start])
    except msgspec.DecodeError as error:
        raise Torn from error
    if meta.key != key:
        raise Torn
    return replace(meta.rendition, body=data[start:])
