"""The frames that the exchange pushes, as MEXC writes them: channel last, numbers as numbers.

Written with f-strings: an exchange of 1,200 contracts makes thousands of frames a second.
"""

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from services.exchange_sim.documents import to_json
from services.exchange_sim.markets.contract_history import Ledger, Level, MadeTrade, MinuteBar

INTERVAL_SECONDS = {
    "Min1": 60, "Min5": 300, "Min15": 900, "Min30": 1800, "Min60": 3600, "Hour4": 14_400,
    "Hour8": 28_800, "Day1": 86_400, "Week1": 604_800,
}  # fmt: skip


def pong(server_ms: int) -> str:
    """The answer to a ping."""
    return f'{{"channel":"pong","data":{server_ms},"ts":{server_ms}}}'


def acknowledgement(method: str, server_ms: int) -> str:
    """The answer to a command; it names no symbol."""
    return f'{{"channel":"rs.{method}","data":"success","ts":{server_ms}}}'


def error(text: str, server_ms: int) -> str:
    """A refusal."""
    return f'{{"channel":"rs.error","data":{json.dumps(text)},"ts":{server_ms}}}'


def trades(symbol: str, made: Sequence[MadeTrade], server_ms: int) -> str:
    """Trades of one contract, in the order given (the venue's is newest first)."""
    rows = ",".join(
        f'{{"p":{trade.p},"v":{trade.v},"T":{1 if trade.buys else 2},"O":{1 + trade.i % 3},'
        f'"M":{1 + trade.i % 2},"t":{trade.t},"i":"{trade.i}","cts":"{trade.t}"}}'
        for trade in made
    )
    return f'{{"symbol":"{symbol}","data":[{rows}],"channel":"push.deal","ts":{server_ms}}}'


def levels(side: Iterable[Level]) -> str:
    """One side of a book; now and then a size with needless zeros, and a price with exponent."""
    return ",".join(
        f"[{price:E},{size}.000000,{orders}]" if size % 61 == 0 else f"[{price},{size},{orders}]"
        for price, size, orders in side
    )


def depth(
    symbol: str, bids: Iterable[Level], asks: Iterable[Level], version: int, ts: int, cts: int
) -> str:
    """The whole top of a book."""
    return (
        f'{{"symbol":"{symbol}","data":{{"cts":{cts},"asks":[{levels(asks)}],'
        f'"bids":[{levels(bids)}],"version":{version}}},"channel":"push.depth.full","ts":{ts}}}'
    )


def price(channel: str, symbol: str, value: Decimal, server_ms: int) -> str:
    """``index.price`` or ``fair.price``."""
    return (
        f'{{"symbol":"{symbol}","data":{{"symbol":"{symbol}","price":{value}}},'
        f'"channel":"push.{channel}","ts":{server_ms}}}'
    )


def funding_rate(ledger: Ledger, server_ms: int) -> str:
    """The rate that is settled next."""
    settles = ledger.next_settlement(server_ms)
    return (
        f'{{"symbol":"{ledger.symbol}","data":{{"symbol":"{ledger.symbol}","rate":{ledger.rate},'
        f'"nextSettleTime":{settles}}},"channel":"push.funding.rate","ts":{server_ms}}}'
    )


def ticker(ledger: Ledger, server_ms: int) -> str:
    """One contract's summary."""
    return (
        f'{{"symbol":"{ledger.symbol}","data":{{{summary(ledger, full=True)}}},'
        f'"channel":"push.ticker","ts":{server_ms}}}'
    )


def tickers(ledgers: Iterable[Ledger], server_ms: int) -> str:
    """The summaries of many contracts, without best prices and funding rate."""
    rows = ",".join(f"{{{summary(ledger, full=False)}}}" for ledger in ledgers)
    return f'{{"channel":"push.tickers","data":[{rows}],"ts":{server_ms}}}'


def summary(ledger: Ledger, *, full: bool) -> str:
    """The fields of a ticker row; ``full`` adds best prices, open interest and funding rate."""
    last = ledger.last or ledger.fair
    change = ledger.change_of_the_day()
    text = (
        f'"symbol":"{ledger.symbol}","lastPrice":{last},"riseFallRate":{change},'
        f'"fairPrice":{ledger.fair},"indexPrice":{ledger.index},"volume24":{ledger.volume},'
        f'"amount24":{ledger.amount},"maxBidPrice":{last * Decimal("1.1")},'
        f'"minAskPrice":{last * Decimal("0.9")},"lower24Price":{ledger.low},'
        f'"high24Price":{ledger.high},"timestamp":{ledger.recent[-1].t if ledger.recent else 0}'
    )
    if not full:
        return text
    return (
        f'{text},"bid1":{ledger.bid},"ask1":{ledger.ask},"holdVol":{ledger.volume * 3},'
        f'"riseFallValue":{last - ledger.first_price},"fundingRate":{ledger.rate},"zone":"UTC+8",'
        f'"riseFallRates":[{change},0,0,0,0,0],"riseFallRatesOfTimezone":[{change},0,0]'
    )


def kline(ledger: Ledger, interval: str, server_ms: int) -> str | None:
    """The running bar of an interval, its time in seconds; None before the first trade."""
    step = INTERVAL_SECONDS[interval]
    now_s = server_ms // 1000
    bars = grouped(ledger, step, now_s // step * step, now_s)
    if bars:
        bar = bars[-1]
    elif ledger.last is not None:
        bar = MinuteBar(now_s // step * step, ledger.last, ledger.last)
    else:
        return None
    high, low = max(bar.high, bar.previous_close), min(bar.low, bar.previous_close)
    return (
        f'{{"symbol":"{ledger.symbol}","data":{{"symbol":"{ledger.symbol}",'
        f'"interval":"{interval}","t":{bar.opened_s},"o":{bar.previous_close},"c":{bar.close},'
        f'"h":{high},"l":{low},"a":{bar.amount},"q":{bar.volume},"ro":{bar.open},'
        f'"rc":{bar.close},"rh":{bar.high},"rl":{bar.low}}},"channel":"push.kline",'
        f'"ts":{server_ms}}}'
    )


def grouped(ledger: Ledger, step_s: int, start_s: int, end_s: int) -> list[MinuteBar]:
    """The bars of an interval that opened in a span (seconds, inclusive), oldest first."""
    found: list[MinuteBar] = []
    for minute in list(ledger.bars):
        opened = minute.opened_s // step_s * step_s
        if not start_s <= opened <= end_s:
            continue
        if not found or found[-1].opened_s != opened:
            found.append(MinuteBar(opened, minute.open, minute.previous_close))
        bar = found[-1]
        bar.high, bar.low = max(bar.high, minute.high), min(bar.low, minute.low)
        bar.close = minute.close
        bar.volume += minute.volume
        bar.amount += minute.amount
    return found


def detail(ledger: Ledger) -> dict[str, Any]:
    """A contract as REST's ``detail`` and the channel ``contract`` describe it."""
    contract = ledger.contract
    base, _, quote = contract.symbol.rpartition("_")
    volume_unit = max(1, int(contract.lot_size / contract.contract_size))
    tiers = [
        {
            "level": level,
            "maxVol": int(tier.max_quantity / contract.contract_size),
            "mmr": tier.maintenance_margin_rate,
            "imr": 1 / tier.max_leverage,
            "maxLeverage": tier.max_leverage,
        }
        for level, tier in enumerate(contract.tiers, 1)
    ]
    return {
        "symbol": contract.symbol, "displayNameEn": f"{contract.symbol} PERPETUAL",
        "positionOpenType": 3, "baseCoin": base, "quoteCoin": quote, "baseCoinName": base,
        "quoteCoinName": quote, "futureType": 1, "settleCoin": quote,
        "contractSize": contract.contract_size, "minLeverage": 1,
        "maxLeverage": contract.max_leverage,
        "priceScale": max(0, -int(contract.tick_size.normalize().as_tuple().exponent)),
        "volScale": 0, "amountScale": 4, "priceUnit": contract.tick_size, "volUnit": volume_unit,
        "minVol": volume_unit, "maxVol": 1_000_000, "limitMaxVol": 1_000_000,
        "bidLimitPriceRate": 0.1, "askLimitPriceRate": 0.1, "takerFeeRate": 0.0004,
        "makerFeeRate": 0.0001, "maintenanceMarginRate": contract.maintenance_margin_rate,
        "initialMarginRate": 1 / contract.max_leverage, "riskBaseVol": 1_000_000,
        "riskIncrVol": 0, "riskIncrMmr": 0, "riskIncrImr": 0, "riskLevelLimit": 1,
        "riskLimitType": "BY_VOLUME", "riskLimitMode": "CUSTOM" if tiers else "INCREASE",
        "riskLimitCustom": tiers, "liquidationFeeRate": 0.0004, "state": 0, "apiAllowed": True,
        "isHidden": False, "type": 1, "feeRateMode": "NORMAL", "maxNumOrders": [200, 50],
        "indexOrigin": ["SIM"], "openingTime": 0, "createTime": 1_591_242_684_000,
    }  # fmt: skip


def contract(ledger: Ledger, server_ms: int) -> str:
    """A contract's details, pushed when they change."""
    return (
        f'{{"channel":"push.contract","data":{to_json(detail(ledger))},'
        f'"symbol":"{ledger.symbol}","ts":{server_ms}}}'
    )
