"""How fast units come back, measured: accepted requests less the drop of what remains."""


class RefillMeasure:
    """One policy's refill.

    Attributes:
        seconds_per_unit: In which about one unit comes back; 0 while unknown.
    """

    __slots__ = ("_anchor", "seconds_per_unit")

    def __init__(self) -> None:
        self.seconds_per_unit = 0.0
        self._anchor: tuple[float, int, int] | None = None

    def forget(self) -> None:
        """Start over."""
        self.seconds_per_unit = 0.0
        self._anchor = None

    def restart(self) -> None:
        """Begin another measurement; what was measured stays."""
        self._anchor = None

    def measure(
        self, processed: int, remaining: int, received: float, span: float, *, was_full: bool
    ) -> None:
        """Learn from a response.

        Args:
            processed: Responses so far.
            remaining: The least of the evidence.
            received: When it came.
            span: Seconds of the window.
            was_full: Nothing was spent that the window could give back.
        """
        if self._anchor is None:
            self._anchor = received, processed, remaining
            return
        at, processed_then, remaining_then = self._anchor
        if received - at < 0.5:
            return
        returned = (processed - processed_then) - (remaining_then - remaining)
        if returned > 0 and not (was_full and received - at > span):  # some may be lost then
            measured = (received - at) / (0.97 * returned)
            known = self.seconds_per_unit
            self.seconds_per_unit = measured if not known else (known + measured) / 2
        self._anchor = received, processed, remaining
