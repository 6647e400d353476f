"""What kind of failure an attempt is: user's rule, code, status, exception, in this order."""

import pytest

from httpx_resilience import (
    GENERIC,
    SCAIVAULT,
    Dialect,
    Envelope,
    ErrorClass,
    ErrorSpec,
    RequestRules,
)
from httpx_resilience._core.dialect.classify import Failure, classify, request_id_of
from httpx_resilience._core.headers import RateLimitReader, Wait
from httpx_resilience._core.outcome import Outcome, RawHeaders
from support.core import CONNECTION_LOST, CONNECTION_REFUSED, envelope

READER = RateLimitReader()
PLAIN = Dialect(name="plain", requests=RequestRules(request_id_header=None))
"""A dialect that names no header of a request id."""


def maybe(
    status: int, body: bytes = b"", dialect: Dialect = SCAIVAULT, headers: RawHeaders = ()
) -> Failure | None:
    outcome = Outcome(0.0, 0.1, 0.2, 1.7e9, status=status, headers=headers, body=body)
    return classify(outcome, dialect, READER)


def failure(
    status: int, body: bytes = b"", dialect: Dialect = SCAIVAULT, headers: RawHeaders = ()
) -> Failure:
    found = maybe(status, body, dialect, headers)
    assert found is not None
    return found


@pytest.mark.parametrize("status", [100, 101, 200, 204, 206, 299, 301, 304, 308, 399])
def test_success_and_redirects_are_no_failures_whatever_their_body(status: int) -> None:
    assert maybe(status, envelope("internal_error")) is None


def test_a_listed_code_decides_against_its_status() -> None:
    found = failure(400, envelope("service_unavailable"))
    assert (found.error_class, found.coded) == (ErrorClass.TRANSIENT, True)
    assert found.status_mismatch
    assert not failure(503, envelope("service_unavailable")).status_mismatch


def test_a_code_nobody_listed_is_permanent_for_scaivault_and_up_to_the_status_otherwise() -> None:
    body = envelope("never_heard_of")
    ours, others = failure(503, body), failure(503, body, GENERIC)
    assert (ours.error_class, ours.coded, ours.spec) == (ErrorClass.PERMANENT, True, None)
    assert (others.error_class, others.coded) == (ErrorClass.TRANSIENT, False)
    assert (ours.code, others.code) == ("never_heard_of", "never_heard_of")
    assert not ours.status_mismatch


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "permanent"), (401, "permanent"), (404, "permanent"), (408, "transient"),
        (409, "permanent"), (418, "permanent"), (425, "permanent"), (429, "rate_limited"),
        (499, "permanent"), (500, "internal"), (501, "permanent"), (502, "transient"),
        (503, "transient"), (504, "transient"), (505, "permanent"), (599, "permanent"),
        (999, "permanent"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dialect", [SCAIVAULT, GENERIC], ids=["scaivault", "generic"])
def test_without_a_code_the_status_decides(status: int, expected: str, dialect: Dialect) -> None:
    found = failure(status, b"<html>", dialect)
    assert (found.error_class, found.coded, found.code) == (expected, False, None)


class TestRules:
    """What a user rules comes before everything the API says."""

    def test_a_rule_for_a_code_comes_before_a_rule_for_its_status(self) -> None:
        mine = SCAIVAULT.extend(
            codes={"backend_error": ErrorClass.TRANSIENT}, statuses={502: ErrorClass.INTERNAL}
        )
        assert failure(502, envelope("backend_error"), mine).error_class is ErrorClass.TRANSIENT

    def test_a_rule_for_a_status_comes_before_the_catalogue(self) -> None:
        mine = SCAIVAULT.extend(statuses={503: ErrorClass.PERMANENT})
        found = failure(503, envelope("service_unavailable"), mine)
        assert (found.error_class, found.coded) == (ErrorClass.PERMANENT, False)
        assert failure(503, b"", mine).error_class is ErrorClass.PERMANENT

    def test_a_rule_for_a_new_code_makes_it_listed(self) -> None:
        mine = SCAIVAULT.extend(codes={"warming_up": ErrorClass.TRANSIENT})
        found = failure(418, envelope("warming_up"), mine)
        assert (found.error_class, found.coded) == (ErrorClass.TRANSIENT, True)
        assert not found.status_mismatch  # it was ruled without a status

    def test_a_rule_may_be_a_whole_row(self) -> None:
        row = ErrorSpec(code="warming_up", error_class=ErrorClass.TRANSIENT, status=503)
        found = failure(500, envelope("warming_up"), SCAIVAULT.extend(codes={"warming_up": row}))
        assert found.spec is row
        assert found.status_mismatch

    def test_a_rule_of_a_rule_is_the_later_one(self) -> None:
        mine = SCAIVAULT.extend(codes={"backend_error": ErrorClass.TRANSIENT})
        again = mine.extend(codes={"backend_error": ErrorClass.INTERNAL})
        assert failure(502, envelope("backend_error"), again).error_class is ErrorClass.INTERNAL

    def test_a_dialect_that_ignores_case_does_so_for_rules_too(self) -> None:
        loose = Dialect(name="x", envelope=Envelope(ignore_case=True))
        mine = loose.extend(codes={"Busy": ErrorClass.TRANSIENT})
        assert failure(400, envelope("BUSY"), mine).error_class is ErrorClass.TRANSIENT


class TestExceptions:
    """Attempts without a response."""

    def test_a_connection_that_was_lost_may_have_been_processed(self) -> None:
        found = classify(Outcome(0, 1, 1, transport_failure=CONNECTION_LOST), SCAIVAULT, READER)
        assert found is not None
        assert (found.error_class, found.perhaps_processed, found.never_sent) == (
            ErrorClass.CONNECTION, True, False,
        )  # fmt: skip
        assert found.exception_type == "ReadError"

    def test_a_connection_that_was_refused_was_never_used(self) -> None:
        found = classify(Outcome(0, 1, 1, transport_failure=CONNECTION_REFUSED), SCAIVAULT, READER)
        assert found is not None
        assert (found.perhaps_processed, found.never_sent) == (False, True)

    def test_an_attempt_that_was_cut_may_have_been_processed(self) -> None:
        found = classify(Outcome(0, 1, 1, cut=True), SCAIVAULT, READER)
        assert found is not None
        assert (found.error_class, found.perhaps_processed) == (ErrorClass.CONNECTION, True)


@pytest.mark.parametrize(
    ("status", "perhaps"), [(400, False), (408, True), (429, False), (500, True), (503, True)]
)
def test_the_server_may_have_processed_what_it_failed_at(status: int, perhaps: bool) -> None:
    assert failure(status).perhaps_processed is perhaps


class TestIds:
    """The server's request id."""

    def test_the_header_comes_before_the_body(self) -> None:
        body = envelope("internal_error", "from-body")
        assert failure(500, body, headers=[(b"X-Request-Id", b"head")]).request_id == "head"
        assert failure(500, body).request_id == "from-body"
        assert failure(500).request_id is None

    def test_an_odd_id_is_told_as_invalid(self) -> None:
        for raw in (b"a b", b"\xff", b"\x1b[31m", b"x" * 129, b"x" * 10_000, b""):
            assert failure(500, headers=[(b"x-request-id", raw)]).request_id == "invalid"
        assert request_id_of([(b"X-Request-ID", b"x" * 128)], PLAIN) == "x" * 128

    def test_the_usual_header_is_read_where_the_dialect_names_none(self) -> None:
        assert request_id_of([(b"Date", b"x"), (b"x-request-ID", b"req-1")], PLAIN) == "req-1"
        assert request_id_of([(b"X-Request-Idx", b"req-1")], PLAIN) is None


class TestWaits:
    """What the server asks for."""

    dialect = Dialect(name="x", envelope=Envelope(wait=(("retry_in",),)))

    def test_retry_after_comes_before_a_wait_in_the_body(self) -> None:
        body, header = b'{"retry_in": 7}', [(b"Retry-After", b"3")]
        assert failure(429, body, self.dialect, header).wait == Wait(3.0, "retry_after")
        assert failure(429, body, self.dialect).wait == Wait(7.0, "error_body")

    def test_a_failure_that_asks_for_nothing_has_no_wait(self) -> None:
        assert failure(503).wait is None

    def test_a_permanent_failure_may_name_a_wait_all_the_same(self) -> None:
        found = failure(429, envelope("quota_exceeded"), headers=[(b"Retry-After", b"3")])
        assert found.error_class is ErrorClass.PERMANENT
        assert found.wait == Wait(3.0, "retry_after")

    def test_a_reset_in_epoch_seconds_without_a_date_counts_from_the_clients_wall_clock(
        self,
    ) -> None:
        headers = [
            (b"X-RateLimit-Limit", b"10"),
            (b"X-RateLimit-Remaining", b"0"),
            (b"X-RateLimit-Reset", b"1700000030"),
        ]
        assert failure(429, b"", PLAIN, headers).wait == Wait(30.0, "rate_limit_reset")


def exhausted(status_of: bytes = b"0", *, resets: bool = True) -> RawHeaders:
    headers = [(b"X-RateLimit-Limit", b"10"), (b"X-RateLimit-Remaining", status_of)]
    return [*headers, (b"X-RateLimit-Reset", b"30")] if resets else headers


class TestTheCataloguesWait:
    """How long to wait where the response names no time."""

    spec = ErrorSpec(code="slow_down", error_class=ErrorClass.RATE_LIMITED, wait=60)
    dialect = Dialect(
        name="x", codes={"slow_down": spec}, envelope=Envelope(wait=(("error", "retry_after"),))
    )
    body = envelope("slow_down")

    def test_it_is_the_last_that_is_asked(self) -> None:
        assert failure(403, self.body, self.dialect).wait == Wait(60, "catalogue")
        named = b'{"error": {"code": "slow_down", "retry_after": 7}}'
        assert failure(403, named, self.dialect).wait == Wait(7.0, "error_body")
        header = [(b"Retry-After", b"3")]
        assert failure(403, self.body, self.dialect, header).wait == Wait(3.0, "retry_after")
        found = failure(403, self.body, self.dialect, exhausted())
        assert found.wait == Wait(30.0, "rate_limit_reset")

    def test_a_response_that_says_to_come_back_at_once_is_believed(self) -> None:
        assert failure(403, self.body, self.dialect, [(b"Retry-After", b"0")]).wait is None

    def test_other_codes_have_none(self) -> None:
        assert failure(403, envelope("other"), self.dialect).wait is None


class TestStatusesThatWait:
    """Uncoded responses that ask for a wait."""

    dialect = Dialect(
        name="x",
        codes={"banned": ErrorSpec(code="banned", error_class=ErrorClass.PERMANENT)},
        statuses_that_wait={403: ErrorClass.RATE_LIMITED, 429: ErrorClass.TRANSIENT},
    )

    @pytest.mark.parametrize(
        "headers",
        [[(b"Retry-After", b"3")], exhausted(), exhausted(resets=False)],
        ids=["Retry-After", "an exhausted limit", "one without a reset"],
    )
    def test_what_asks_for_a_wait_is_of_their_class(self, headers: RawHeaders) -> None:
        found = failure(403, b"", self.dialect, headers)
        assert (found.error_class, found.coded) == (ErrorClass.RATE_LIMITED, False)
        assert failure(404, b"", self.dialect, headers).error_class is ErrorClass.PERMANENT

    @pytest.mark.parametrize(
        "headers", [[], [(b"Retry-After", b"0")], exhausted(b"1")], ids=["nothing", "0", "one left"]
    )
    def test_what_does_not_is_not(self, headers: RawHeaders) -> None:
        found = failure(403, b"", self.dialect, headers)
        assert (found.error_class, found.wait) == (ErrorClass.PERMANENT, None)

    def test_a_wait_of_0_in_the_body_asks_for_none(self) -> None:
        dialect = Dialect(
            name="x",
            statuses_that_wait={403: ErrorClass.RATE_LIMITED},
            envelope=Envelope(wait=(("wait",),)),
        )
        expected = {0: ErrorClass.PERMANENT, 1: ErrorClass.RATE_LIMITED}
        for seconds, error_class in expected.items():
            found = failure(403, b'{"wait": %d}' % seconds, dialect)
            assert found.error_class is error_class

    def test_an_exhausted_limit_says_when(self) -> None:
        found = failure(403, b"", self.dialect, exhausted())
        assert found.wait == Wait(30.0, "rate_limit_reset")

    def test_a_429_reads_its_reset_as_ever(self) -> None:
        headers = [(b"X-RateLimit-Limit", b"10"), (b"X-RateLimit-Reset", b"30")]
        assert failure(429, b"", self.dialect, headers).wait == Wait(30.0, "rate_limit_reset")

    def test_a_code_that_decides_comes_before_them(self) -> None:
        headers = [(b"Retry-After", b"3")]
        found = failure(403, envelope("banned"), self.dialect, headers)
        assert (found.error_class, found.coded) == (ErrorClass.PERMANENT, True)
        assert failure(403, envelope("x"), self.dialect, headers).error_class is (
            ErrorClass.RATE_LIMITED
        )

    def test_a_rule_of_the_users_comes_before_them(self) -> None:
        ruled = self.dialect.extend(statuses={403: ErrorClass.PERMANENT})
        headers = [(b"Retry-After", b"3")]
        assert failure(403, b"", ruled, headers).error_class is ErrorClass.PERMANENT

    def test_nobody_has_any_by_default(self) -> None:
        for dialect in (SCAIVAULT, GENERIC):
            found = failure(403, b"", dialect, [(b"Retry-After", b"3")])
            assert found.error_class is ErrorClass.PERMANENT


class TestErrorsInSuccess:
    """Errors that come with a status of success."""

    dialect = Dialect(
        name="x",
        codes={"ratelimited": ErrorSpec(code="ratelimited", error_class=ErrorClass.RATE_LIMITED)},
        envelope=Envelope(
            code=(("error",),), code_headers=("X-Code",), errors_in_success=True, wait=(("wait",),)
        ),
    )

    def test_a_code_in_the_body_is_a_failure(self) -> None:
        found = failure(200, b'{"ok": false, "error": "ratelimited"}', self.dialect)
        assert (found.error_class, found.coded) == (ErrorClass.RATE_LIMITED, True)
        assert (found.status, found.code, found.spec) == (
            200,
            "ratelimited",
            self.dialect.codes["ratelimited"],
        )
        assert not found.perhaps_processed

    def test_a_code_that_nobody_listed_is_one_too(self) -> None:
        found = failure(200, b'{"error": "no_such_channel"}', self.dialect)
        assert (found.error_class, found.coded) == (ErrorClass.PERMANENT, False)

    @pytest.mark.parametrize(
        "body",
        [b"", b'{"ok": true}', b'{"error": ""}', b'{"error": 0}', b'{"error": "0"}', b"<html>",
         b'{"error": null}', b'{"error": false}'],
    )  # fmt: skip
    def test_a_body_without_a_code_is_none(self, body: bytes) -> None:
        assert maybe(200, body, self.dialect) is None

    def test_headers_are_not_asked(self) -> None:
        assert maybe(200, b"{}", self.dialect, [(b"X-Code", b"ratelimited")]) is None
        assert failure(400, b"{}", self.dialect, [(b"X-Code", b"ratelimited")]).coded

    def test_its_headers_say_how_long_to_wait(self) -> None:
        body = b'{"error": "ratelimited"}'
        found = failure(200, body, self.dialect, [(b"Retry-After", b"3")])
        assert found.wait == Wait(3.0, "retry_after")
        found = failure(200, body, self.dialect, exhausted())
        assert found.wait == Wait(30.0, "rate_limit_reset")
        assert failure(200, body, self.dialect, exhausted(b"1")).wait is None


def test_the_id_of_a_response_may_have_a_header_of_its_own() -> None:
    rules = RequestRules(request_id_header="X-Request-ID", response_id_header="request-id")
    dialect = Dialect(name="x", requests=rules)
    headers = [(b"X-Request-ID", b"mine"), (b"Request-Id", b"theirs")]
    assert request_id_of(headers, dialect) == "theirs"
    assert request_id_of(headers[:1], dialect) is None


class TestProxies:
    """What a proxy on the way says for itself."""

    own = ((b"Proxy-Status", b"a; error=http_request_denied"), (b"Retry-After", b"3"))

    def test_its_refusal_is_classified_as_ever_and_noted(self) -> None:
        for status in (429, 503):
            plain = failure(status, b"", GENERIC, self.own[1:])
            assert not plain.by_proxy
            assert failure(status, b"", GENERIC, self.own) == plain._replace(by_proxy=True)
        assert failure(407).by_proxy
        assert not failure(502, b"", GENERIC, self.own).by_proxy

    def test_one_that_announces_limits_is_part_of_the_api(self) -> None:
        announced = exhausted()
        assert not failure(429, b"", GENERIC, [*self.own, *announced]).by_proxy
        assert failure(407, b"", GENERIC, announced).by_proxy


VETO: RawHeaders = [(b"x-should-retry", b"false")]
ASSENT: RawHeaders = [(b"X-Should-Retry", b"true")]


class TestShouldRetry:
    """What the server says of a retry in words."""

    @pytest.mark.parametrize("status", [400, 409, 429, 500, 503])
    @pytest.mark.parametrize("body", [b"", envelope("rate_limited"), envelope("internal_error")])
    def test_a_veto_changes_nothing_but_is_noted(self, status: int, body: bytes) -> None:
        plain, vetoed = failure(status, body), failure(status, body, headers=VETO)
        assert vetoed == plain._replace(should_retry=False)
        assert plain.should_retry is None

    @pytest.mark.parametrize("status", [400, 403, 409, 422, 501, 599])
    def test_assent_makes_an_uncoded_status_that_is_permanent_transient(self, status: int) -> None:
        for dialect in (SCAIVAULT, GENERIC):
            found = failure(status, b"", dialect, ASSENT)
            assert (found.error_class, found.coded) == (ErrorClass.TRANSIENT, False)
        assert failure(status, envelope("x"), GENERIC, ASSENT).error_class is ErrorClass.TRANSIENT

    def test_it_changes_no_other_class(self) -> None:
        for status in (408, 429, 500, 503):
            for body in (b"", envelope("x")):
                plain = failure(status, body, GENERIC)
                assert failure(status, body, GENERIC, ASSENT) == plain._replace(should_retry=True)

    def test_a_code_that_decides_stays_permanent(self) -> None:
        for code in ("quota_exceeded", "never_heard_of"):
            found = failure(429, envelope(code), headers=ASSENT)
            assert (found.error_class, found.coded) == (ErrorClass.PERMANENT, True)

    def test_a_rule_of_the_users_stays_and_is_noted(self) -> None:
        ruled = GENERIC.extend(
            statuses={409: ErrorClass.PERMANENT}, codes={"busy": ErrorClass.TRANSIENT}
        )
        found = failure(409, b"", ruled, ASSENT)
        assert (found.error_class, found.ruled) == (ErrorClass.PERMANENT, True)
        found = failure(400, envelope("busy"), ruled, VETO)
        assert (found.error_class, found.ruled) == (ErrorClass.TRANSIENT, True)
        assert not failure(400, b"", ruled, VETO).ruled
