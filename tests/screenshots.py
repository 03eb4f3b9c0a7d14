"""Makes the README's pictures of the console: `python -m tests.screenshots`.

Needs Chromium. It starts a run on the generated market and waits for its first refused signals.
"""

import tempfile
from pathlib import Path
from typing import Final

from tests.browser import browser
from tests.claire_command import commands_in
from tests.integration.console.test_browser import EARLY, console_of

FOLDER: Final = Path(__file__).parents[1] / "backoffice" / "docs" / "img"
READY: Final = {
    "now": "!!document.querySelector('.u-over') && /REJECTED/.test(document.body.innerText)",
    "chart": "/refused:/.test(document.querySelector('.legend')?.innerText ?? '')",
    "why": "/the sums add up/.test(document.body.innerText)",
}
"""Screen to what it shows before its picture is taken."""
WITHIN_S: Final = 120.0


def main() -> None:
    """Write one PNG a screen."""
    settings = [word for name, value in EARLY.items() for word in ("--set", f"{name}={value}")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with commands_in(folder) as claire, browser(folder) as page:
            url = console_of(claire, *settings)
            page.screen(1280, 860)
            for screen, ready in READY.items():
                page.open(f"{url}/#{screen}")
                page.wait(ready, screen, WITHIN_S)
                page.picture(FOLDER / f"console-{screen}.png")


if __name__ == "__main__":
    main()
