"""The evidence for what is left: the least of the responses received since the latest send."""

import pytest

from httpx_resilience._core.throttle.limits.evidence import Evidence
from httpx_resilience._core.throttle.limits.windows import ResetInterval


def until(high: float) -> ResetInterval:
    return ResetInterval(high, high, high, high, 0.0)


def fed(*responses: tuple[float, float, int], high: float = 60.0) -> Evidence:
    """Return evidence of responses: when each was sent and received, what it says is left."""
    evidence = Evidence()
    for sent, received, remaining in responses:
        evidence.newest_sent = max(evidence.newest_sent, sent)
        evidence.add(remaining, until(high), received)
    return evidence


ROW = [
    ((0.0, 1.0, 9), 9),
    ((0.5, 1.5, 7), 7),
    ((0.6, 1.6, 8), 7),  # counted earlier, received later
    ((1.5, 2.0, 12), 7),  # sent when the second was received, which may not have counted it
    ((1.55, 2.1, 5), 5),
    ((2.5, 3.0, 50), 50),  # sent after all others had come back
]

LATE = [
    ((0.0, 10.0, 30), 30),
    ((1.0, 9.0, 10), 10),  # processed only now: kept as if received when the one before was
    ((9.5, 11.0, 40), 10),
    ((10.5, 12.0, 40), 40),
]


@pytest.mark.parametrize("responses", [ROW, LATE])
def test_what_is_left_is_the_least_of_the_responses_received_since_the_latest_send(
    responses: list[tuple[tuple[float, float, int], int]],
) -> None:
    given = [response for response, _ in responses]
    found = [fed(*given[:count]).remaining for count in range(1, len(given) + 1)]
    assert found == [remaining for _, remaining in responses]


def test_without_responses_there_is_no_evidence_and_nothing_left() -> None:
    evidence = Evidence()
    assert (bool(evidence), evidence.remaining) == (False, 0)
    assert fed((0.0, 1.0, 0))


def test_what_is_forgotten_is_no_evidence() -> None:
    evidence = fed((0.0, 1.0, 9), (0.5, 1.5, 12))
    evidence.clear()
    assert (bool(evidence), evidence.remaining, len(evidence.resets)) == (False, 0, 0)
    evidence.add(20, until(30.0), 2.0)
    assert (evidence.remaining, evidence.latest_reset.high) == (20, 30.0)


@pytest.mark.parametrize(
    ("sent", "received", "high", "latest"),
    [
        (0.5, 1.5, 70.0, 70.0),
        (0.5, 1.5, 50.0, 60.0),
        (1.0, 1.5, 50.0, 60.0),
        (1.1, 1.5, 50.0, 50.0),  # sent after the other had been received
    ],
)
def test_the_latest_reset_of_the_evidence_counts(
    sent: float, received: float, high: float, latest: float
) -> None:
    evidence = fed((0.0, 1.0, 9))
    evidence.newest_sent = sent
    evidence.add(9, until(high), received)
    assert evidence.latest_reset.high == latest


def test_responses_that_say_the_same_take_the_room_of_one() -> None:
    evidence = fed(*[(0.0, 0.01 * nth, 9) for nth in range(1000)])
    assert (len(evidence.remaining_window), len(evidence.resets)) == (1, 1)
    assert evidence.remaining_window[0] == (9.99, 9)
