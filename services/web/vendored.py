"""The vendored chart libraries: their text, version, licence and integrity hash.

Pages embed or serve them from here; no page loads anything from another host.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "vendor"

CHART_NOTICE: Final = (
    "Charts: TradingView Lightweight Charts™, Copyright (c) 2026 TradingView, Inc."
    " https://www.tradingview.com/"
)
"""The notice that the licence of Lightweight Charts asks every page to show."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One vendored file.

    Attributes:
        name: File name in `FOLDER`, as published on npm.
        package: npm package.
        version: Version of the package.
        licence: SPDX identifier; the text is beside the file.
        media_type: For the Content-Type header.
        integrity: SHA-384 of the file, as a page's ``integrity`` attribute has it.
    """

    name: str
    package: str
    version: str
    licence: str
    media_type: str
    integrity: str

    @property
    def text(self) -> str:
        """The content of the file."""
        return _read(self.name)


LIGHTWEIGHT_CHARTS: Final = Asset(
    "lightweight-charts.standalone.production.js",
    "lightweight-charts",
    "5.2.1",
    "Apache-2.0",
    "text/javascript",
    "sha384-KkYqTZlM13Zya6fVUF3IGCBOQ1ehFeJVVgxaVvD/0MebineF9EI8Jkd3NnWNChqN",
)
UPLOT: Final = Asset(
    "uPlot.iife.min.js",
    "uplot",
    "1.6.32",
    "MIT",
    "text/javascript",
    "sha384-Gx3t0zdBAuQOuvvmaLZj7HKEiSgWTAs+VdtNY7wt19QDPTDQjFIwAuXDj0zeN00c",
)
UPLOT_STYLE: Final = Asset(
    "uPlot.min.css",
    "uplot",
    "1.6.32",
    "MIT",
    "text/css",
    "sha384-IfV0B7MIOYuO95kO9G5ySKPz/85zqFNOAs8iy4tkK5zd9izhJAB8b7lHrwYqqmYE",
)
ASSETS: Final = (LIGHTWEIGHT_CHARTS, UPLOT, UPLOT_STYLE)


@cache
def _read(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")
