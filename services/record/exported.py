"""A record in a file: what ``claire export`` writes, and reads back for verification.

One line of JSON says what the file holds; then comes one line per row, by seq: a tick or clock as
it was published, and a row of the chain preceded by its chain hash. The last line says how many
there were, so that a cut file is noticed.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from services.kernel.bounded_json import Decoder
from services.persistence import chain
from services.record.reading import ChainLink, Record, RecordError, Span, split_position

FORMAT: Final = "claire-record"
VERSION: Final = 1
_HASH_CHARACTERS: Final = 64
_COMPRESSION: Final = 4


class Header(Struct, frozen=True, kw_only=True):
    """What the file holds.

    Attributes:
        after: Seq before its first row.
        upto: Seq of its last row.
        chain_before: Chain hash before its first row, hexadecimal.
    """

    format: str
    version: int
    after: int
    upto: int
    chain_before: str


class _Footer(Struct, frozen=True, kw_only=True):
    rows: int


def export(record: Record, span: Span, path: Path) -> int:
    """Write a part of a record to a gzip file, atomically.

    Args:
        record: Where it is.
        span: What part.
        path: Replaced when everything is written, and not before.

    Returns:
        How many rows it has.

    Raises:
        OSError: It cannot be written.
    """
    header = Header(
        format=FORMAT,
        version=VERSION,
        after=span.after,
        upto=span.upto,
        chain_before=record.chain_hash_at(span.after).hex(),
    )
    unfinished = path.with_name(f".{path.name}.part")
    rows = 0
    with gzip.open(unfinished, "wb", compresslevel=_COMPRESSION) as file:
        file.write(msgspec.json.encode(header) + b"\n")
        for line in _lines(record, span):
            file.write(line + b"\n")
            rows += 1
        file.write(msgspec.json.encode(_Footer(rows=rows)) + b"\n")
    unfinished.replace(path)
    return rows


def _lines(record: Record, span: Span) -> Iterator[bytes]:
    for row in record.rows(span):
        if isinstance(row, ChainLink):
            yield row.chain_hash.hex().encode() + b" " + row.body
        else:
            yield row


class ExportedRecord:
    """A record in a file.

    Args:
        path: What ``claire export`` wrote.

    Raises:
        RecordError: It is no such file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as file:
            try:
                self.header = Decoder(Header).decode(file.readline())
            except (msgspec.DecodeError, OSError, EOFError, zlib.error) as error:
                raise RecordError(
                    f"{path} is not what `claire export` writes ({error}); give it such a file"
                ) from None
        if self.header.format != FORMAT or self.header.version != VERSION:
            raise RecordError(
                f"{path} is {self.header.format} {self.header.version}; this program reads"
                f" {FORMAT} {VERSION}: export it again with this version"
            )

    def close(self) -> None:
        """Nothing stays open between two readings."""

    def whole(self) -> Span:
        """What the file holds."""
        return Span(self.header.after, self.header.upto)

    def chain_hash_at(self, seq: int) -> bytes:
        """The chain hash before the file's first row.

        Raises:
            RecordError: Another place is asked for.
        """
        if seq != self.header.after:
            raise RecordError(f"{self._path} begins behind seq {self.header.after}, not {seq}")
        return bytes.fromhex(self.header.chain_before)

    def bodies(self, span: Span) -> Iterator[bytes]:
        """The exact texts of a span's events, by seq."""
        for row in self.rows(span):
            if not isinstance(row, ChainLink):
                yield row
            elif row.kind != chain.TICK_BATCH:
                yield row.body

    def links(self, span: Span) -> Iterator[ChainLink]:
        """The rows of the chain, by seq."""
        for row in self.rows(span):
            if isinstance(row, ChainLink):
                yield row

    def landmarks(self, span: Span) -> Iterator[ChainLink]:
        """All rows of the chain: a file has no index."""
        return self.links(span)

    def rows(self, span: Span) -> Iterator[ChainLink | bytes]:
        """Everything in its order: rows of the chain, and the texts of ticks and clocks.

        Raises:
            RecordError: The file was cut or damaged.
        """
        count = 0
        try:
            with self._opened() as file:
                file.readline()
                for line in file:
                    if line.startswith(b'{"rows":'):
                        self._check_count(line, count)
                        return
                    count += 1
                    row, seq = _row(line.rstrip(b"\n"))
                    if span.after < seq <= span.upto:
                        yield row
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise RecordError(f"{self._path} is damaged behind row {count}: {error}") from None
        raise RecordError(
            f"{self._path} ends without its last line, behind row {count}: it was cut"
        )

    def _opened(self) -> gzip.GzipFile:
        try:
            return gzip.open(self._path, "rb")
        except OSError as error:
            raise RecordError(f"{self._path} cannot be read: {error}") from None

    def _check_count(self, line: bytes, count: int) -> None:
        said = Decoder(_Footer).decode(line).rows
        if said != count:
            raise RecordError(f"{self._path} has {count} rows and says {said}: it was changed")


class _Kind(Struct):
    """What of a row is not in a tick."""

    type: str
    event_id: str
    seq: int


_kind = Decoder(_Kind)


def _row(line: bytes) -> tuple[ChainLink | bytes, int]:
    if line.startswith(b"{"):
        return line, split_position(line)[1]
    chain_hash = bytes.fromhex(line[:_HASH_CHARACTERS].decode())
    body = line[_HASH_CHARACTERS + 1 :]
    row = _kind.decode(body)
    return ChainLink(row.seq, row.event_id, row.type, body, chain_hash), row.seq
