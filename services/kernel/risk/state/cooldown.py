"""Cooldown: a symbol that lost several times in a row rests before it may be entered again."""

from msgspec import Struct

from services.kernel.settings.model import TradingSettings


class LossStreak(Struct, kw_only=True):
    """One symbol's losses in a row.

    Attributes:
        losses: Positions closed with a loss since the last one that was not.
        until: No entry before this time, Unix milliseconds; 0 when it does not rest.
    """

    losses: int = 0
    until: int = 0

    def note(self, *, won: bool, now: int, settings: TradingSettings) -> bool:
        """A position was closed altogether.

        Args:
            won: It brought a profit after fees and funding.
            now: Stage time, Unix milliseconds.
            settings: How many losses are too many, and how long the rest is.

        Returns:
            Whether the cooldown begins, or begins again.
        """
        if won:
            self.losses = self.until = 0
            return False
        self.losses += 1
        if self.losses < settings.max_consecutive_losses or not settings.loss_cooldown_sec:
            return False
        self.until = now + settings.loss_cooldown_sec * 1000
        return True

    def in_cooldown(self, now: int) -> bool:
        """Whether no entry may pass at this time."""
        return now < self.until
