"""Records from logs: files, standard input, gzip; whatever they hold, in constant memory.

A log is read in pieces, and what is longer than a line can be is skipped, so that neither a file
without line breaks nor a gzip bomb takes more memory than one line.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from .records import MalformedError, Record, record_of

PIECE = 1 << 20
"""Bytes that are read at once."""

LONGEST_LINE = 1 << 18
"""Bytes of a line; longer ones are skipped. A line of this library has about 600."""

EXPANSION = 300
"""Times that a compressed log may expand; JSON lines come to 10 to 60, a bomb of zeros to 1,000."""

FREE = 64 << 20
"""Bytes that a compressed log may expand to before ``EXPANSION`` is asked for."""

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Found:
    """What was in the logs.

    Attributes:
        records: Lines of this library.
        others: Lines of anybody else.
        malformed: Lines of this library's shape with a value that it never writes.
        too_long: Lines that were too long to be read.
        unfinished: Last lines without an end that say nothing yet.
        untimed: Records without a readable time.
    """

    records: int = 0
    others: int = 0
    malformed: int = 0
    too_long: int = 0
    unfinished: int = 0
    untimed: int = 0


class BrokenLogError(Exception):
    """A log cannot be read on; what came before is good."""


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Counted:
    """Bytes as they are on the disk, with the first of them looked at beforehand."""

    def __init__(self, stream: BinaryIO, report: Callable[[int], None]) -> None:
        self._stream = stream
        self._report = report
        self.count = 0
        self._head = stream.read(len(_GZIP)) or b""
        self.is_gzip = self._head == _GZIP

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        head, self._head = self._head, b""
        data = head + (self._stream.read(size) if size < 0 else self._rest(size - len(head)))
        self.count += len(data)
        self._report(len(data))
        return data

    def _rest(self, size: int) -> bytes:
        # What a pipe has is enough: who writes into it may write for hours.
        once = getattr(self._stream, "read1", self._stream.read)
        return cast("bytes", once(size)) if size > 0 else b""


def records_of(
    stream: BinaryIO,
    found: Found,
    *,
    time_key: str = "timestamp",
    report: Callable[[int], None] = lambda size: None,
) -> Iterator[Record]:
    r"""Yield the records of a log.

    Args:
        stream: Where it is read from: text lines, or their gzip.
        found: Is brought up to date with what the log had.
        time_key: Name of the field that has a line's time.
        report: Called with how many bytes were read, compressed as they are.

    Raises:
        BrokenLogError: What is compressed is damaged, or a bomb. A log that is cut off is neither.
        OSError: It cannot be read.

    >>> import io
    >>> line = b'{"event": "traffic_summary", "schema": 1, "origin": "http://a"}'
    >>> found = Found()
    >>> list(records_of(io.BytesIO(line + b"\nhello\n"), found))  # it lacks its numbers
    []
    >>> found.malformed, found.others
    (1, 1)
    """
    for line, is_whole in _lines(stream, found, report):
        try:
            record = record_of(line, time_key)
        except MalformedError:
            found.malformed += 1
            continue
        if record is not None:
            found.records += 1
            found.untimed += record["at"] is None
            yield record
        elif is_whole:
            found.others += 1
        else:
            found.unfinished += 1


def _lines(
    stream: BinaryIO, found: Found, report: Callable[[int], None]
) -> Iterator[tuple[bytes, bool]]:
    """Yield the lines that are not empty, and whether each has its end."""
    rest, is_skipping, is_first = b"", False, True
    for piece in _pieces(stream, report):
        *lines, rest = (rest + (piece.removeprefix(_BOM) if is_first else piece)).split(b"\n")
        is_first = False
        if is_skipping and lines:
            del lines[0]
            is_skipping = False
        for line in lines:
            if len(line) > LONGEST_LINE:
                found.too_long += 1
            elif line and not line.isspace():
                yield line, True
        if is_skipping:
            rest = b""
        elif len(rest) > LONGEST_LINE:
            found.too_long += 1
            rest, is_skipping = b"", True
    if rest and not rest.isspace():
        yield rest, False


def _pieces(stream: BinaryIO, report: Callable[[int], None]) -> Iterator[bytes]:
    raw = _Counted(stream, report)
    if not raw.is_gzip:
        while piece := raw.read(PIECE):
            yield piece
        return
    unpacked = 0
    source = cast("_Source", gzip.GzipFile(fileobj=cast("BinaryIO", raw), mode="rb"))
    while True:
        try:
            piece = source.read(PIECE)
        except EOFError:  # cut off, as a log that is being written is
            return
        except (gzip.BadGzipFile, zlib.error) as error:
            raise BrokenLogError("its gzip is damaged") from error
        if not piece:
            return
        unpacked += len(piece)
        if unpacked > FREE and unpacked > EXPANSION * raw.count:
            raise BrokenLogError(f"its gzip expands more than {EXPANSION} times")
        yield piece
