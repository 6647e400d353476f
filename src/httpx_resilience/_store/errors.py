"""What goes wrong with a store; calls never fail because of it."""


class StoreError(Exception):
    """A store did not answer in time, or not as it should.

    Attributes:
        reason: What kind of error it was, for people; no address and no credential.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
