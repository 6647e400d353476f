"""Bodies in every content encoding that httpx knows."""

import gzip
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped, unused-ignore]
import httpx
import zstandard


def _deflate(data: bytes) -> bytes:
    return zlib.compress(data)


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _brotli(data: bytes) -> bytes:
    packed: bytes = brotli.compress(data)
    return packed


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "plain": ("", lambda data: data),
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", _deflate),
    "raw deflate": ("deflate", _raw_deflate),
    "br": ("br", _brotli),
    "zstd": ("zstd", _zstd),
    "gzip in br": ("gzip, br", lambda data: _brotli(gzip.compress(data))),
}
"""Name → the Content-Encoding header, and the function that makes it so."""

_ACCEPTED = {"", *httpx.Client().headers["Accept-Encoding"].split(", ")}
READABLE = [name for name, (told, _) in ENCODERS.items() if {*told.split(", ")} <= _ACCEPTED]
"""Those that the installed httpx decodes: zstd is none of them before 0.27.1."""


def cut(data: bytes, size: int) -> tuple[bytes, ...]:
    """Return the data in pieces of ``size`` bytes."""
    return tuple(data[at : at + size] for at in range(0, len(data), size))
