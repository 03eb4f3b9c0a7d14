"""How faults spoil a frame: cut short, wrong types, crossed, old, unknown, huge."""

from collections.abc import Sequence
from random import Random
from typing import Final

from services.exchange_sim import frames
from services.exchange_sim.markets.contract_history import Ledger, Level

VERSIONS_BACK: Final = 500
"""How much older a stale book may be."""


def cut_short(random: Random, text: str) -> str:
    """The beginning of a frame."""
    return text[: int(len(text) * random.random())]


def wrong_types(random: Random, channel: str, symbol: str, server_ms: int) -> str:
    """A frame of a channel whose fields are not what they should be."""
    head = f'"symbol":"{symbol}","channel":"push.{channel}","ts":{server_ms}'
    content = random.choice(
        (
            "null", "7", '"text"', "[]", "[[]]", "[null]", '{"version":"new"}', '{"price":"x"}',
            '[{"p":"abc","v":1,"T":1,"t":1}]', '[{"p":null,"v":1,"T":1,"t":1}]',
            '[{"p":-5,"v":1,"T":1,"t":1}]', '[{"p":5,"v":0,"T":1,"t":1}]',
            '[{"p":5,"v":1,"T":3,"t":1}]', '[{"p":5,"v":1,"T":1,"t":"yesterday"}]',
            '[{"p":1e999,"v":1,"T":1,"t":1}]', '[{"p":5,"v":1,"T":1,"t":1,"i":{}}]',
            '{"asks":[["a",1,1]],"bids":7,"version":1}', '{"asks":[[1]],"bids":[],"version":1}',
            '{"rate":"high","nextSettleTime":null}',
        )
    )  # fmt: skip
    return random.choice(
        (
            f'{{{head},"data":{content}}}',
            f'{{{head},"data":{content}}}',
            f'{{{head},"data":{content}}}',
            f'{{"symbol":[1],"channel":"push.{channel}","data":{content},"ts":"soon"}}',
            f'{{"channel":12,"data":{content}}}',
            f"[{content}]",
            content,
        )
    )


def with_unknown_field(text: str) -> str:
    """The frame with a field that the protocol does not have."""
    return f'{text[:-1]},"newField":{{"a":[1]}}}}'


def unknown_channel(symbol: str, server_ms: int) -> str:
    """A frame of a channel that nobody has subscribed."""
    return f'{{"channel":"push.brand.new","symbol":"{symbol}","data":{{}},"ts":{server_ms}}}'


def huge(size: int, server_ms: int) -> str:
    """A frame of that many bytes."""
    return f'{{"channel":"push.notice","data":"{"x" * max(0, size)}","ts":{server_ms}}}'


def crossed_book(
    ledger: Ledger, bids: Sequence[Level], asks: Sequence[Level], server_ms: int
) -> str:
    """A book whose sides have changed places."""
    version = ledger.version
    return frames.depth(ledger.symbol, asks, bids, version, server_ms, server_ms)


def stale_book(random: Random, ledger: Ledger, bids: Sequence[Level], server_ms: int) -> str:
    """A book of an older version, with prices far from the present ones."""
    version = ledger.version - 1 - int(random.random() * VERSIONS_BACK)
    old_bids = [(price / 2, size, orders) for price, size, orders in bids]
    old_asks = [(price / 2 + ledger.contract.tick_size, size, n) for price, size, n in bids[:1]]
    when = server_ms - 60_000
    return frames.depth(ledger.symbol, old_bids, old_asks, version, server_ms, when)
