"""What the core is told: made quickly, and no different from what is made by name."""

from httpx_resilience._core.outcome import Call, Outcome, make_call, make_outcome
from support.core import CONNECTION_LOST


def test_a_call_that_is_made_of_its_fields_in_order_is_the_one_made_by_name() -> None:
    made = make_call(("c1", "GET", "https://v", "/v1", True, str.upper, 7, 2, {"tokens": 9}, "b"))
    assert type(made) is Call
    assert made == Call(
        call_id="c1",
        method="GET",
        origin="https://v",
        path="/v1",
        has_idempotency_key=True,
        redact=str.upper,
        order=7,
        cost=2,
        units={"tokens": 9},
        category="b",
    )


def test_an_outcome_that_is_made_of_its_fields_in_order_is_the_one_made_by_name() -> None:
    made = make_outcome((1.0, 2.0, 3.0, 1.7e9, 503, [(b"A", b"b")], b"{}", CONNECTION_LOST, True))
    assert type(made) is Outcome
    assert made == Outcome(
        sent_at=1.0,
        received_at=2.0,
        at=3.0,
        wall=1.7e9,
        status=503,
        headers=[(b"A", b"b")],
        body=b"{}",
        transport_failure=CONNECTION_LOST,
        cut=True,
    )
