"""What happens to the store that processes share limits by."""

from typing import ClassVar

from .events import Event, Level
from .records import record


@record
class StoreLost(Event):
    """The store that processes share limits by is away; each goes on with its part of what is left.

    Attributes:
        reason: What went wrong: ``timeout``, ``connection``, ``reply`` (it makes no sense) or
            ``refused``.
        processes: How many processes shared a scope when the store was heard of last.
        advice: What a person can do about it.
    """

    name: ClassVar[str] = "store_lost"

    reason: str
    processes: int
    advice: str = "Look at the store: limits are divided by the processes known until it is back."

    @property
    def level(self) -> Level:
        """Calls go on, but a share that is not needed here helps nobody else."""
        return Level.WARNING


@record
class StoreBack(Event):
    """The store that processes share limits by answers again.

    Attributes:
        elapsed: Seconds for which it did not.
    """

    name: ClassVar[str] = "store_back"

    elapsed: float

    @property
    def level(self) -> Level:
        """Good news, and worth knowing."""
        return Level.INFO
