"""What servers send about their rate limits, and what we make of it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from httpx_resilience._core.headers import (
    DEFAULT_FAMILIES,
    HeaderFamily,
    RateLimit,
    RateLimitReader,
    Reading,
    Wait,
    binding,
    retry_after,
    server_wait,
)
from httpx_resilience._core.headers.families import ASIDES
from httpx_resilience._core.headers.limits import merged
from httpx_resilience._core.headers.roles import MAX_NAMES
from httpx_resilience._core.headers.values import members, moments

DATE = 1700000000.0
HTTP_DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
FILE = Path(__file__).parents[2] / "vectors" / "ratelimit_headers.json"
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["vectors"]
SKEWS = (0.0, -300.0, 300.0)


def raw(*pairs: tuple[str, str], date: str | None = HTTP_DATE) -> list[tuple[bytes, bytes]]:
    every = [("Date", date), *pairs] if date else list(pairs)
    return [(name.encode(), value.encode()) for name, value in every]


def read(*pairs: tuple[str, str], wall: float = DATE, date: str | None = HTTP_DATE) -> Reading:
    return RateLimitReader().read(raw(*pairs, date=date), wall=wall)


def only(*pairs: tuple[str, str], date: str | None = HTTP_DATE) -> RateLimit:
    (limit,) = read(*pairs, date=date).limits
    return limit


def trio(limit: str, remaining: str, reset: str) -> tuple[tuple[str, str], ...]:
    return (
        ("X-RateLimit-Limit", limit),
        ("X-RateLimit-Remaining", remaining),
        ("X-RateLimit-Reset", reset),
    )


def wait(*pairs: tuple[str, str], status: int = 429, wall: float = DATE) -> Wait | None:
    headers = raw(*pairs)
    reading = RateLimitReader().read(headers, wall=wall)
    return server_wait(headers, status=status, wall=wall, reading=reading)


def asked(value: str, name: str = "Retry-After", wall: float = 0.0) -> float | None:
    return retry_after(raw((name, value)), wall=wall)


# The vectors


def test_there_are_all_the_vectors() -> None:
    assert len(VECTORS) == 79


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_what_real_servers_send_is_read_as_they_meant_it(
    vector: dict[str, Any], skew: float
) -> None:
    headers = [(name.encode(), value.encode()) for name, value in vector["headers"]]
    reader, wall = RateLimitReader(), DATE
    if (b"Date", HTTP_DATE.encode()) in headers:
        wall += skew  # with a Date, our own clock changes nothing
    reading = reader.read(headers, wall=wall)
    blocked = server_wait(headers, status=vector["status"], wall=wall, reading=reading)
    limit = binding(reading.limits) or RateLimit()
    told = {
        **limit._asdict(),
        "refill_per_s": limit.refill,
        "scope": reading.scope,
        "block_for": blocked.seconds if blocked else None,
    }
    for field, value in vector["expect"].items():
        expected = math.inf if value == "inf" else value
        if isinstance(expected, int | float):
            expected = pytest.approx(expected, abs=1e-3)
        assert told[field] == expected, field


# Error bars


@pytest.mark.parametrize(
    ("reset", "granularity"),
    [
        ("1700000060", 1.0),
        ("60", 1.0),
        ("1700000060.25", 0.01),
        ("0.980", 0.001),
        ("1700000010500", 0.001),
        ("1700000010000", 1.0),
        ("58.0", 1.0),
        ("1700000010500000000", 1e-6),
        ("17ms", 0.001),
        ("2m52.8s", 0.1),
        ("6m0s", 1.0),
        ("1h", 60.0),
        ("2023-11-14T22:15Z", 60.0),
        ("2023-11-14T22:14:20Z", 1.0),
        ("2023-11-14T22:14:20.9440478Z", 1e-6),
        (HTTP_DATE, 1.0),
    ],
)
def test_granularity_is_the_last_place_that_was_stated(reset: str, granularity: float) -> None:
    assert only(*trio("10", "9", reset)).granularity == pytest.approx(granularity)


@pytest.mark.parametrize(
    ("reset", "reset_at"),
    [
        ("1700000060", 1700000060.0),
        ("1700000060500", 1700000060.5),
        ("1700000060500000", 1700000060.5),
        ("1700000060500000000", 1700000060.5),
        ("2023-11-14T22:14:20Z", 1700000060.0),
        ("1699999990", 1699999990.0),
        ("60", None),
        ("6m0s", None),
    ],
)
def test_an_instant_is_kept_on_the_servers_clock_and_a_delta_is_not(
    reset: str, reset_at: float | None
) -> None:
    assert only(*trio("10", "9", reset)).reset_at == reset_at


@pytest.mark.parametrize("reset", ["1s500ms", "1500ms", "1500000us", "1500000µs", "1500000μs"])
def test_every_spelling_of_a_duration_is_read(reset: str) -> None:
    assert only(*trio("10", "9", reset)).reset_in == pytest.approx(1.5)


@pytest.mark.parametrize("reset", ["1750000000", "99999999", "9" * 20, "9" * 5000, "1d" * 500])
def test_a_reset_farther_than_400_days_is_dropped(reset: str) -> None:
    limit = only(*trio("10", "9", reset))
    assert (limit.remaining, limit.reset_in, limit.reset_at) == (9, None, None)


@pytest.mark.parametrize(
    "reset",
    [
        "2023-13-01T00:00:00Z",
        "2023-11-14T22:13:61Z",
        "2023-02-30T00:00:00Z",
        "Tue, 14 Foo 2023 22:13:20 GMT",
        "1e3",
    ],
)
def test_a_time_that_does_not_exist_is_no_time(reset: str) -> None:
    assert only(*trio("10", "9", reset)).reset_in is None


def test_a_leap_second_is_a_time() -> None:
    assert only(*trio("10", "9", "2023-11-14T22:13:60Z")).reset_in == 40.0


def test_a_two_digit_year_from_70_on_is_of_the_last_century() -> None:
    assert asked("Sunday, 06-Nov-94 08:49:37 GMT") == 0.0
    assert asked("Tuesday, 14-Nov-23 22:15:20 GMT") == 120.0


def test_without_a_date_the_wall_time_stands_in() -> None:
    reading = read(*trio("10", "9", "1700000060"), wall=DATE + 20, date=None)
    assert (reading.limits[0].reset_in, reading.date) == (40.0, None)


def test_a_delta_agreeing_with_the_window_in_milliseconds_is_read_so() -> None:
    policy = ("RateLimit-Policy", "100;w=60")
    assert only(*trio("100", "9", "30000"), policy).reset_in == 30.0
    assert only(*trio("100", "9", "61"), policy).reset_in == 61.0


def test_a_small_reset_is_never_milliseconds_because_of_retry_after() -> None:
    assert only(*trio("6", "0", "900"), ("Retry-After", "1")).reset_in == 900.0
    assert only(*trio("6", "0", "1000"), ("Retry-After", "1")).reset_in == 1.0


@pytest.mark.parametrize(
    ("retry_after", "reset_in"),
    [
        ("30", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30000.0),
        ("later", 30000.0),
        ("0.5", 30000.0),
    ],
)
def test_a_reset_is_in_milliseconds_if_a_number_of_seconds_to_wait_says_so(
    retry_after: str, reset_in: float
) -> None:
    remaining, reset = ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "30000")
    assert only(("Retry-After", retry_after), remaining, reset).reset_in == reset_in


def test_a_unit_that_was_given_is_not_second_guessed() -> None:
    family = HeaderFamily(remaining="X-Left", reset="X-Until", reset_unit="delta", window=60.0)
    headers = raw(("X-Left", "1"), ("X-Until", "30000"))
    (limit,) = RateLimitReader([family]).read(headers, wall=0.0).limits
    assert limit.reset_in == 30000.0


# Numbers


@pytest.mark.parametrize(
    ("limit", "remaining", "told"),
    [
        ("100", "96.9", (100, 96)),
        ("100", "-3", (100, 0)),
        ("100", "250", (100, 100)),
        ("5,000", "1,200", (5000, 1200)),
        ("0", "0", (0, 0)),
        ("100", "unlimited", (100, None)),
        ("lots", "7", (None, 7)),
        ("1e3", "7", (None, 7)),
        ("9" * 5000, "7", (None, 7)),
        ("100", "١٢", (100, None)),
    ],
)
def test_numbers_are_plain_decimals_within_bounds(
    limit: str, remaining: str, told: tuple[int | None, int | None]
) -> None:
    found = only(*trio(limit, remaining, "60"))
    assert (found.limit, found.remaining) == told


def test_a_negative_limit_is_no_policy() -> None:
    assert read(*trio("-1", "5", "60")).limits == ()


def test_a_limit_that_is_a_period_is_a_window() -> None:
    limit = only(
        ("X-Rate-Limit-Limit", "1m"),
        ("X-Rate-Limit-Remaining", "8"),
        ("X-Rate-Limit-Reset", "2023-11-14T22:13:31.9440478Z"),
    )
    assert (limit.limit, limit.window) == (None, 60.0)
    assert limit.reset_in == pytest.approx(11.944, abs=1e-3)


def test_what_was_used_stands_in_for_the_remainder() -> None:
    limit = only(("X-RateLimit-Limit", "100"), ("X-RateLimit-Used", "30"))
    assert limit.remaining == 70


def test_what_was_used_beside_an_overdraft_is_the_limit() -> None:
    limit = only(("X-RateLimit-Used", "5"), ("X-RateLimit-Remaining", "-3"))
    assert (limit.limit, limit.remaining) == (5, 0)


# Families


def test_a_period_in_the_name_is_the_window() -> None:
    limit = only(("X-RateLimit-Limit-Month", "9"), ("X-RateLimit-Remaining-Month", "3"))
    assert (limit.limit, limit.remaining, limit.window) == (9, 3, 31 * 86400.0)


def test_an_infix_is_read_like_a_suffix() -> None:
    limit = only(
        ("X-RateLimit-Requests-Limit", "50"),
        ("X-RateLimit-Requests-Remaining", "7"),
        ("X-RateLimit-Requests-Reset", "1700000010500"),
    )
    assert limit == RateLimit(50, 7, 10.5, 1700000010.5, 0.001)


def test_every_policy_is_read_and_not_only_the_first() -> None:
    reading = read(
        ("X-RateLimit-UserLimit", "500"),
        ("X-RateLimit-UserRemaining", "499"),
        ("X-RateLimit-ClientLimit", "12500"),
        ("X-RateLimit-ClientRemaining", "12000"),
    )
    assert {limit.bucket: limit.remaining for limit in reading.limits} == {
        "user": 499,
        "client": 12000,
    }


def test_two_families_that_tell_the_same_policy_are_one() -> None:
    limit = only(
        ("RateLimit-Limit", "3"),
        ("RateLimit-Remaining", "2"),
        ("RateLimit-Reset", "41"),
        ("X-RateLimit-Limit-Minute", "3"),
        ("X-RateLimit-Remaining-Minute", "2"),
    )
    assert (limit.reset_in, limit.window) == (41.0, 60.0)


def test_families_that_contradict_each_other_are_two_policies() -> None:
    pairs = [("RateLimit-Limit", "3"), ("RateLimit-Remaining", "2"), ("RateLimit-Reset", "9")]
    assert len(read(*pairs, *trio("3", "2", "41")).limits) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Minute", "Hour"),
        ("short", "long"),
        ("requests", "tokens"),
    ],
)
def test_equal_numbers_about_different_things_are_two_policies(one: str, other: str) -> None:
    told = [
        (f"X-RateLimit-{part}-{word}", "9")
        for word in (one, other)
        for part in ("Limit", "Remaining")
    ]
    assert len(read(*told).limits) == 2


def test_of_two_tellings_each_fills_the_gaps_of_the_other() -> None:
    one = RateLimit(10, 5, refill=2.0)
    other = RateLimit(None, 5, 9.0, 1700000009.0, 0.1, bucket="b")
    both = RateLimit(10, 5, 9.0, 1700000009.0, 0.1, bucket="b", refill=2.0)
    assert merged([one, other]) == merged([other, one]) == [both]
    assert merged([one, one._replace(refill=3.0)]) == [one, one._replace(refill=3.0)]
    assert merged([RateLimit(9, 5), RateLimit(10, 5)]) == [RateLimit(9, 5), RateLimit(10, 5)]
    assert merged([RateLimit(10), RateLimit(10)]) == [RateLimit(10), RateLimit(10)]


def test_a_word_is_not_a_dash() -> None:
    assert read(("X-RateLimit--Limit", "5")).limits == ()


def test_scaigrid_is_known() -> None:
    limit = only(
        ("X-Scaigrid-Ratelimit-Limit", "60"),
        ("X-Scaigrid-Ratelimit-Remaining", "5"),
        ("X-Scaigrid-Ratelimit-Reset", "1700000012"),
    )
    assert (limit.limit, limit.remaining, limit.reset_in) == (60, 5, 12.0)


def test_zendesk_tells_an_endpoints_limit_in_one_header() -> None:
    limit = only(("Zendesk-RateLimit-Tickets-Index", "total=100; remaining=99; resets=41"))
    assert limit == RateLimit(100, 99, 41.0, bucket="tickets-index")


def test_a_token_bucket_tells_its_refill_per_second() -> None:
    fill = [("X-RateLimit-FillRate", "10"), ("X-RateLimit-Interval-Seconds", "5")]
    limit = only(("X-RateLimit-Limit", "70"), ("X-RateLimit-Remaining", "7"), *fill)
    assert (limit.refill, limit.window) == (2.0, None)


def test_salesforce_names_each_of_its_limits() -> None:
    info = "api-usage=18/5000; per-app-api-usage=17/250(appName=sample)"
    limits = read(("Sforce-Limit-Info", info)).limits
    assert [(each.bucket, each.remaining) for each in limits] == [
        ("api-usage", 4982),
        ("per-app-api-usage", 233),
    ]


def test_parameters_on_the_remainder_are_understood() -> None:
    limit = only(("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "76;w=21600"))
    assert limit == RateLimit(100, 76, window=21600.0)


def test_an_unreadable_reset_after_leaves_the_reset() -> None:
    limit = only(*trio("5", "0", "1700000009"), ("X-RateLimit-Reset-After", "soon"))
    assert limit.reset_in == 9.0


def test_the_same_quota_of_two_policies_takes_the_longer_window() -> None:
    limit = only(*trio("10", "1", "5"), ("RateLimit-Policy", "10;w=1, 10;w=60"))
    assert limit.window == 60.0


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (r'"a\"b, c"', 'a"b, c'),
        (r'"a\\b"', "a\\b"),
        (r'"a\""', 'a"'),
        ('"plain; w=1"', "plain; w=1"),
        ("token", "token"),
    ],
)
def test_the_name_of_a_policy_is_unescaped(written: str, name: str) -> None:
    limit = only(
        ("RateLimit-Policy", f"{written};q=100;w=60"), ("RateLimit", f"{written};r=50;t=30")
    )
    assert (limit.bucket, limit.limit, limit.window) == (name, 100, 60.0)


def test_structured_items_are_joined_to_policies_by_partition_first() -> None:
    reading = read(
        ("RateLimit-Policy", '"a";q=10;w=1;pk=:x:, "a";q=20;w=2;pk=:y:'),
        ("RateLimit", '"a";r=3;t=1;pk=:y:, "a";r=2'),
    )
    assert [(limit.limit, limit.remaining) for limit in reading.limits] == [(20, 3), (10, 2)]


def test_a_structured_item_that_tells_nothing_is_left_out() -> None:
    policy = ("RateLimit-Policy", '"a";q=10, "b";q=10')
    reading = read(("RateLimit", '"a", "b";r=x, "c";r=1'), policy)
    assert reading.limits == (RateLimit(None, 1, bucket="c"),)


def test_a_name_that_cannot_be_printed_is_no_name() -> None:
    assert only(("X-RateLimit-Remaining", "1"), ("X-RateLimit-Bucket", "a\x1b[0m")).bucket is None
    assert only(("X-RateLimit-Remaining", "1"), ("X-RateLimit-Bucket", "a" * 129)).bucket is None


@pytest.mark.parametrize(
    ("family", "part"),
    [(family, part) for family in DEFAULT_FAMILIES for part in family.headers()],
)
def test_every_header_of_every_family_is_recognised(family: HeaderFamily, part: str) -> None:
    names = {key: name.replace("*", "word") for key, name in family.headers().items()}
    sent = {names.get("remaining", ""): "0"} | {names[part]: "7"}
    (limit,) = read(*sent.items()).limits
    told = {"limit": limit.limit, "remaining": limit.remaining, "reset": limit.reset_in}
    assert told.get(part, limit.limit) == 7  # what was used, and nothing left, is the limit


@pytest.mark.parametrize(("name", "neighbour"), [(name, other) for name, other, _ in ASIDES])
def test_every_aside_belongs_to_a_known_family(name: str, neighbour: str) -> None:
    names = {known for family in DEFAULT_FAMILIES for known in family.headers().values()}
    assert neighbour in names
    assert name not in names


# Families of users


def test_a_users_family_comes_before_the_built_in_ones() -> None:
    mine = HeaderFamily(remaining="x-ratelimit-remaining", reset="x-ratelimit-reset", bucket="mine")
    reader = RateLimitReader(families=(mine,))
    limits = reader.read(raw(*trio("9", "5", "60")), wall=0.0).limits
    assert limits == (
        RateLimit(None, 5, 60.0, bucket="mine"),
        RateLimit(9),  # nobody claimed the limit's header
    )


@pytest.mark.parametrize(
    ("unit", "value", "reset_in"),
    [
        ("auto", "1700000060", 60.0),
        ("auto", "60", 60.0),
        ("epoch", "1700000060", 60.0),
        ("epoch", "60", None),
        ("delta", "60", 60.0),
        ("delta", "1700000060", None),
        ("ms", "60000", 60.0),
        ("ms", "1700000060000", 60.0),
        ("ms", "2592000000", 2592000.0),
        ("duration", "60", 60.0),
        ("date", "60", None),
        ("date", "2023-11-14T22:14:20Z", 60.0),
    ],
)
def test_a_reset_unit_says_how_a_bare_number_is_read(
    unit: Any, value: str, reset_in: float | None
) -> None:
    reader = RateLimitReader([HeaderFamily(remaining="X-Left", reset="X-Until", reset_unit=unit)])
    (limit,) = reader.read(raw(("X-Left", "1"), ("X-Until", value)), wall=0.0).limits
    assert limit.reset_in == reset_in


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"limit": ""},
        {"limit": "X Limit"},
        {"limit": "X-*-*"},
        {"limit": "X-*", "remaining": "Y"},
        {"limit": "X", "reset_unit": "seconds"},
        {"limit": "X", "window": 0},
        {"limit": "X", "window": math.nan},
    ],
)
def test_a_family_that_makes_no_sense_is_refused(fields: Any) -> None:
    with pytest.raises(ValueError, match="HeaderFamily"):
        HeaderFamily(**fields)


@pytest.mark.parametrize("fields", [{"limit": 7}, {"limit": "X", "unit": 7}, {"bucket": 7}])
def test_a_family_of_the_wrong_types_is_refused(fields: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="HeaderFamily"):
        HeaderFamily(**fields)


def test_a_reader_refuses_what_is_no_family_and_too_many() -> None:
    with pytest.raises(TypeError, match=r"families\[0\]"):
        RateLimitReader(["X-Left"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="number of families"):
        RateLimitReader([HeaderFamily(limit="X")] * 65)


# Responses


def test_an_aged_response_tells_nothing() -> None:
    assert read(*trio("10", "0", "60"), ("Age", "1")) == Reading()
    assert read(*trio("10", "0", "60"), ("Age", "0")).limits != ()


def test_a_response_from_a_cache_tells_nothing() -> None:
    headers = raw(*trio("10", "0", "60"))
    assert RateLimitReader().read(headers, wall=DATE, from_cache=True) == Reading()


def test_the_date_is_told_without_any_limit() -> None:
    assert read(("Content-Type", "text/html")) == Reading((), DATE, None)


def test_the_scope_is_told() -> None:
    assert read(("X-RateLimit-Scope", "shared")).scope == "shared"
    assert read(("X-RateLimit-Global", "true"), ("X-RateLimit-Scope", "user")).scope == "global"


def test_at_most_32_policies_are_read() -> None:
    many = ", ".join(f'"p{number}";r={number}' for number in range(40))
    assert len(read(("RateLimit", many)).limits) == 32
    names = [(f"X-RateLimit-Remaining-p{number}", str(number)) for number in range(40)]
    assert len(read(*names).limits) == 32


def test_a_field_is_read_to_8_kib_and_not_cut_within_a_member() -> None:
    filler = '"x";comment="' + "." * 8178 + '"'
    assert read(("RateLimit", filler + ',"late";r=1000')).limits == ()
    early = ("RateLimit", '"early";r=7,' + filler)
    assert [limit.bucket for limit in read(early).limits] == ["early"]


def test_duplicates_together_are_read_to_8_kib() -> None:
    filler = ("RateLimit", '"x";comment="' + "." * 5000 + '"')
    late = ("RateLimit", '"late";r=7')
    assert [limit.bucket for limit in read(filler, late).limits] == ["late"]
    assert read(filler, filler, late).limits == read(late).limits
    assert read(filler, ("RateLimit", filler[1] + ',"late";r=7')).limits == ()


def test_a_list_is_read_to_32_members() -> None:
    assert len(members("a," * 100)) == 32
    assert len(moments(b"1," * 100)) == 32


def test_ever_new_names_fill_no_memory() -> None:
    reader = RateLimitReader()
    for number in range(3 * MAX_NAMES):
        reader.read([(b"X-RateLimit-Remaining-%d" % number, b"1")], wall=0.0)
    assert len(reader._roles) <= MAX_NAMES + 1


def test_a_flood_of_names_hides_no_header_of_the_next_response() -> None:
    reader = RateLimitReader()
    flood = [(b"X-RateLimit-Limit-%d" % number, b"1") for number in range(5 * MAX_NAMES)]
    reader.read(flood, wall=0.0)
    limits = reader.read([(b"X-RateLimit-Limit", b"7")], wall=0.0).limits
    assert [limit.limit for limit in limits] == [7]


def test_a_reader_shows_its_families() -> None:
    assert repr(RateLimitReader()) == "RateLimitReader(families=())"


# The binding policy


def test_without_limits_none_binds() -> None:
    assert binding([]) is None


def test_of_exhausted_policies_the_latest_reset_binds() -> None:
    late = RateLimit(1, 0, 9.0)
    assert binding([RateLimit(1, 0, None), RateLimit(1, 0, 5.0), late]) is late


def test_of_equals_a_known_reset_binds() -> None:
    known = RateLimit(1, 0, 0.0)
    assert binding([RateLimit(1, 0, None), known]) is known


def test_another_unit_binds_only_if_no_requests_are_told() -> None:
    tokens = RateLimit(9, 0, 5.0, unit="tokens")
    requests = RateLimit(9, 4, 5.0)
    assert binding([tokens, requests]) is requests
    assert binding([tokens, RateLimit(9, None, 5.0)]) is tokens


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("-5", 0.0),
        (" 7 ", 7.0),
        ("30s", 30.0),
        ("Tue, 14 Nov 2023 22:15:20 GMT", 120.0),
        ("Tue, 14 Nov 2023 22:11:20 GMT", 0.0),
        ("1700000030", 30.0),
        ("1700000030500", 30.5),
        ("1699999990", 0.0),
        ("9223372036854775807", math.inf),
        ("1000000000", math.inf),
        ("400000000", math.inf),
        ("Fri, 31 Dec 9999 23:59:59 GMT", math.inf),
        ("315000000", 315000000.0),
        ("later", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("9" * 5000, None),
        ("", None),
        ("30, 60", 60.0),
        ("later, 60", 60.0),
    ],
)
def test_retry_after_is_read_in_every_form(value: str, seconds: float | None) -> None:
    assert asked(value) == seconds


def test_the_best_retry_after_that_can_be_read_decides() -> None:
    worst_first = [
        ("x-retry-after", "5"),
        ("X-RateLimit-Retry-After", "4"),
        ("Retry-After", "3"),
        ("x-ms-retry-after-ms", "2000"),
        ("retry-after-ms", "1000"),
    ]
    for number in range(1, 6):
        assert retry_after(raw(*worst_first[:number]), wall=0.0) == 6 - number
    assert retry_after(raw(("retry-after-ms", "soon"), ("Retry-After", "3")), wall=0.0) == 3.0


def test_of_a_retry_after_given_twice_the_longer_counts() -> None:
    assert retry_after(raw(("Retry-After", "9"), ("retry-after", "30")), wall=0.0) == 30.0


def test_milliseconds_are_never_an_epoch() -> None:
    assert asked("2000000000", name="retry-after-ms") == 2000000.0


def test_two_dates_are_no_date() -> None:
    headers = raw(("Date", HTTP_DATE), ("Retry-After", "1700000030"))
    assert retry_after(headers, wall=DATE + 10) == 20.0


def test_a_retry_after_date_without_a_date_counts_from_the_wall_time() -> None:
    headers = raw(("Retry-After", "Tue, 14 Nov 2023 22:15:20 GMT"), date=None)
    assert retry_after(headers, wall=DATE + 60) == 60.0


# What a failed response asks for


@pytest.mark.parametrize("status", [200, 204, 301, 304])
def test_no_success_and_no_redirect_asks_to_wait(status: int) -> None:
    assert wait(("Retry-After", "30"), *trio("10", "0", "60"), status=status) is None


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_a_failure_with_retry_after_asks_for_that(status: int) -> None:
    assert wait(("Retry-After", "30"), *trio("10", "0", "60"), status=status) == Wait(
        30.0, "retry_after"
    )


@pytest.mark.parametrize(
    ("status", "waits"), [(429, True), (403, True), (503, False), (400, False)]
)
def test_an_exhausted_policys_reset_is_the_wait_of_429_and_403(status: int, waits: bool) -> None:
    expected = Wait(60.0, "rate_limit_reset") if waits else None
    assert wait(*trio("10", "0", "60"), status=status) == expected


def test_only_a_429_waits_for_a_reset_beside_no_remainder() -> None:
    assert wait(("X-RateLimit-Reset", "7")) == Wait(7.0, "rate_limit_reset")
    assert wait(("X-RateLimit-Reset", "7"), status=403) is None


def test_the_reset_of_a_policy_with_units_left_did_not_cause_a_429() -> None:
    assert wait(*trio("5000", "4800", "1700003600")) is None


def test_the_latest_of_several_exhausted_policies_is_waited_for_in_any_unit() -> None:
    tokens = [("X-RateLimit-Remaining-Tokens", "0"), ("X-RateLimit-Reset-Tokens", "90")]
    assert wait(*trio("10", "0", "60"), *tokens) == Wait(90.0, "rate_limit_reset")


@pytest.mark.parametrize("reset", ["0", "1700000000", "1699999990"])
def test_a_reset_that_is_due_takes_a_second(reset: str) -> None:
    assert wait(*trio("10", "0", reset)) == Wait(1.0, "rate_limit_reset")


@pytest.mark.parametrize("value", ["0", "-5", "Tue, 14 Nov 2023 22:11:20 GMT"])
def test_a_retry_after_of_nothing_leaves_it_to_the_backoff(value: str) -> None:
    assert wait(("Retry-After", value), *trio("10", "0", "60")) is None


def test_an_unreadable_retry_after_leaves_the_reset() -> None:
    assert wait(("Retry-After", "later"), *trio("10", "0", "60")) == Wait(60.0, "rate_limit_reset")
