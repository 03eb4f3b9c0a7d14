"""The last ids that were seen, so that a repetition is recognised; bounded."""

from typing import Final

from msgspec import Struct

MOST_SIGNALS: Final = 10_000
"""Signals within which a second one with the same ``signal_id`` is a duplicate."""


class RecentIds(Struct):
    """The last ids, in the order in which they were first seen."""

    ids: dict[str, None] = {}

    def add(self, name: str, most: int = MOST_SIGNALS) -> bool:
        """Take an id.

        Args:
            name: The id.
            most: How many are kept.

        Returns:
            Whether it is new; a repetition does not make it younger.
        """
        if name in self.ids:
            return False
        self.ids[name] = None
        if len(self.ids) > most:
            del self.ids[next(iter(self.ids))]
        return True
