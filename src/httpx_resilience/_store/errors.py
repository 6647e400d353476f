"""What goes wrong with a store; calls never fail because of it."""

DEADLINE = 0.25
"""Seconds that the commands of one pipeline have, connecting and repeating included."""

_TEXTS = {
    "timeout": f"the store did not answer within {DEADLINE:g} s",
    "connection": "the connection to the store failed",
    "reply": "the store's reply is no list of strings and numbers",
    "refused": "the store refused the command",
}


class StoreError(Exception):
    """A store did not answer in time, or not as it should.

    Its text names no address and no credential; the client's own error is the ``__cause__``.

    Attributes:
        reason: ``timeout``, ``connection``, ``reply`` (of an unexpected type), or ``refused``.
        code: What the client or the store calls it, as ``NOPERM``; else empty.

    >>> str(StoreError("refused", "NOPERM"))
    'the store refused the command: NOPERM'
    """

    def __init__(self, reason: str, code: str = "") -> None:
        self.reason = reason
        self.code = code
        super().__init__(_TEXTS.get(reason, reason) + (f": {code}" if code else ""))
