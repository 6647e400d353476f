"""How fast units come back, measured: accepted requests less the drop of what remains."""

import math

SHORTEST = 0.5
"""Seconds between two responses by which it is measured, at the least."""


class RefillMeasure:
    """One policy's refill.

    Attributes:
        seconds_per_unit: In which about one unit comes back; 0 while unknown.
        measured_at: When the response came from which on it is measured.
    """

    __slots__ = ("_anchor", "measured_at", "seconds_per_unit")

    def __init__(self) -> None:
        self.seconds_per_unit = 0.0
        self.restart()

    def forget(self) -> None:
        """Start over."""
        self.seconds_per_unit = 0.0
        self.restart()

    def restart(self) -> None:
        """Begin another measurement; what was measured stays."""
        self.measured_at = -math.inf
        self._anchor: tuple[int, int] | None = None

    def measure(
        self, processed: int, remaining: int, received: float, span: float, *, was_full: bool
    ) -> None:
        """Learn from a response, unless it came less than ``SHORTEST`` after ``measured_at``.

        Args:
            processed: Responses so far.
            remaining: The least of the evidence.
            received: When it came.
            span: Seconds of the window.
            was_full: Nothing was spent that the window could give back.
        """
        seconds, anchor = received - self.measured_at, self._anchor
        if seconds < SHORTEST:
            return
        self.measured_at, self._anchor = received, (processed, remaining)
        if anchor is None:
            return
        processed_then, remaining_then = anchor
        returned = (processed - processed_then) - (remaining_then - remaining)
        if returned > 0 and not (was_full and seconds > span):  # some may be lost then
            measured = seconds / (0.97 * returned)
            known = self.seconds_per_unit
            self.seconds_per_unit = measured if not known else (known + measured) / 2
