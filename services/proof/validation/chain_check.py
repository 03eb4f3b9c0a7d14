"""The hash chain, computed again row by row."""

from bisect import bisect_right
from hashlib import sha256
from typing import Final

import msgspec

from services.persistence import chain
from services.proof.validation.findings import Findings, Rule
from services.record.reading import ChainLink, Span

KEPT_HASHES: Final = 100_000
"""Rows back that a head may refer to; it is reported within seconds."""

_tick_batch = msgspec.json.Decoder(chain.TickBatch)


class ChainCheck:
    """Follows the chain; after a broken link it goes on from what is written there.

    Args:
        span: What part of the record is checked.
        before: The chain's hash before it.
        findings: Where to report.
        whole_batches: The span begins with the record, so that no tick batch is cut.

    Attributes:
        head: The chain's hash behind the last row seen.
    """

    def __init__(
        self, span: Span, before: bytes, findings: Findings, *, whole_batches: bool
    ) -> None:
        self.head = before
        self._first = span.after + 1
        self._whole_batches = whole_batches
        self._findings = findings
        self._digest = sha256()
        self._ticks = 0
        self._upto = span.upto
        self._seqs = [span.after]
        self._hashes = [before]

    def see_tick(self, body: bytes) -> None:
        """Take the next tick or clock."""
        self._digest.update(body)
        self._digest.update(b"\n")
        self._ticks += 1

    def see_link(self, link: ChainLink) -> None:
        """Take the next row of the chain."""
        expected = chain.link(self.head, link.seq, link.body)
        if expected != link.chain_hash:
            message = (
                f"this {link.kind} was changed, or a row before it was removed, added or moved:"
                f" its chain hash is {link.chain_hash.hex()[:16]}..., and should be"
                f" {expected.hex()[:16]}..."
            )
            self._findings.add(Rule.CHAIN, link.seq, link.event_id, message)
        self.head = link.chain_hash
        self._seqs.append(link.seq)
        self._hashes.append(link.chain_hash)
        if len(self._seqs) > 2 * KEPT_HASHES:
            del self._seqs[:KEPT_HASHES], self._hashes[:KEPT_HASHES]
        if link.kind == chain.TICK_BATCH:
            self._compare_batch(link)

    def see_head(self, seq: int, chain_hash: str, source: str) -> None:
        """Compare the chain with what was said of it.

        Args:
            seq: Where it stood.
            chain_hash: Hexadecimal.
            source: Who said so.
        """
        if seq < self._seqs[0]:
            return  # before what is checked
        known = self._hashes[bisect_right(self._seqs, seq) - 1].hex()
        if seq > self._upto:
            message = f"{source} knew rows up to {seq}, and the record ends at {self._upto}"
            self._findings.add(Rule.HEADS, seq, None, f"{message}: its tail was cut off")
        elif known != chain_hash:
            message = f"{source} knew chain hash {chain_hash[:16]}... at {seq}"
            self._findings.add(Rule.HEADS, seq, None, f"{message}, it is {known[:16]}...")

    def finish(self) -> None:
        """All rows were seen."""
        if self._ticks:
            message = f"the last {self._ticks} ticks belong to no batch of the chain"
            self._findings.add(Rule.TICKS, None, None, message)

    def _compare_batch(self, link: ChainLink) -> None:
        count, digest = self._ticks, self._digest.hexdigest()
        self._ticks, self._digest = 0, sha256()
        try:
            batch = _tick_batch.decode(link.body)
        except msgspec.DecodeError as error:
            message = f"tick batch {link.seq} cannot be read: {error}"
            self._findings.add(Rule.SCHEMA, link.seq, link.event_id, message)
            return
        if batch.first_seq < self._first and not self._whole_batches:
            return  # its first ticks lie before what is checked
        if count != batch.count or digest != batch.sha256:
            message = (
                f"ticks {batch.first_seq} to {batch.seq} were changed, moved, added or removed:"
                f" {count} are there, {batch.count} were committed"
            )
            self._findings.add(Rule.TICKS, link.seq, link.event_id, message)
