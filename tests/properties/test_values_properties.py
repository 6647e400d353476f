"""Numbers, times and lists out of header bytes: whatever is written is read back, or not at all."""

import math
from datetime import UTC, datetime
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from httpx_resilience import HeaderFamily
from httpx_resilience._core.headers import RateLimit, RateLimitReader, binding
from httpx_resilience._core.headers.families import facts, readable_name, word_of
from httpx_resilience._core.headers.limits import Reset, merged, policy
from httpx_resilience._core.headers.resets import (
    FARTHEST,
    RESET_UNITS,
    Context,
    ResetUnit,
    epoch_scale,
    reset_of,
)
from httpx_resilience._core.headers.structured import announced
from httpx_resilience._core.headers.values import (
    MAX_FIELD,
    MAX_MEMBERS,
    clipped,
    http_date,
    members,
    moment,
    moments,
    number,
    parameters,
    quotas,
    whole,
)

epochs = st.integers(0, 4_000_000_000)
decimals = st.decimals(-(10**9), 10**9, places=3, allow_nan=False, allow_infinity=False)
names = st.from_regex(r"[a-z]([a-z_-]{0,8}[a-z])?", fullmatch=True)
amounts = st.integers(0, 10**6)
limits = st.builds(
    RateLimit,
    st.none() | amounts,
    st.none() | st.integers(0, 3),
    st.none() | st.floats(0, 1e6),
    window=st.none() | st.sampled_from([1.0, 60.0]),
    unit=st.sampled_from(["requests", "tokens"]),
    bucket=st.none() | st.sampled_from(["a", "b"]),
)


# Numbers.


@given(decimals)
def test_a_decimal_number_is_read_as_it_is_written(value: object) -> None:
    text = str(value)
    read = number(f" {text}\t")
    assert read is not None
    assert math.isclose(read, float(text), abs_tol=1e-9)
    assert whole(text) == math.floor(float(text))


@given(st.text(max_size=30))
def test_whatever_is_read_as_a_number_is_finite(text: str) -> None:
    for read in (number(text), whole(text)):
        assert read is None or math.isfinite(read)
        assert read is None or abs(read) <= 10.0**20


@given(amounts, st.none() | st.integers(1, 10**6))
def test_a_quota_and_its_window_are_read_as_they_are_written(
    amount: int, window: int | None
) -> None:
    written = f"{amount}" if window is None else f"{amount};w={window}"
    (quota,) = quotas(written.encode())
    assert quota == (amount, None if window is None else float(window))


@given(st.lists(st.tuples(amounts, st.integers(1, 10**6)), max_size=40))
def test_of_many_policies_the_first_32_are_read(told: list[tuple[int, int]]) -> None:
    written = ", ".join(f'"p{n}";q={q};w={w}' for n, (q, w) in enumerate(told))
    read = announced(written.encode())
    assert [(each.quota, each.window) for each in read] == told[:MAX_MEMBERS]
    assert [each.name for each in read] == [f"p{n}" for n in range(len(told[:MAX_MEMBERS]))]


# Lists.


@given(st.lists(st.from_regex(r'[a-z0-9;=]{1,8}|"[a-z,;]{0,8}"', fullmatch=True), max_size=40))
def test_members_are_split_at_commas_outside_of_quotes(written: list[str]) -> None:
    assert members(" , ".join(written)) == written[:MAX_MEMBERS]


@given(names, st.dictionaries(names, names, max_size=4))
def test_parameters_are_read_as_they_are_written(item: str, given_: dict[str, str]) -> None:
    bare = "".join(f";{key}={value}" for key, value in given_.items())
    quoted = "".join(f' ; {key.upper()}="{value}"' for key, value in given_.items())
    assert parameters(item + bare) == parameters(f'"{item}"{quoted}') == (item, given_)


@given(st.binary(max_size=50), st.integers(0, 400))
def test_a_long_field_is_cut_behind_a_whole_member(piece: bytes, times: int) -> None:
    field = b",".join([piece] * times)
    kept = clipped(field)
    assert len(kept) <= MAX_FIELD
    assert field.startswith(kept)
    assert kept == field or field[len(kept) : len(kept) + 1] == b"," or kept == b""


# Times.


@given(epochs)
def test_every_form_of_a_date_tells_the_same_instant(epoch: int) -> None:
    at = datetime.fromtimestamp(epoch, UTC)
    http = format_datetime(at, usegmt=True)
    assert http_date(http.encode()) == epoch
    for written in (http, at.isoformat(), at.strftime("%Y-%m-%d %H:%M:%S.0"), at.ctime()):
        read = moment(written)
        assert read is not None, written
        assert (read.value, read.kind) == (epoch, "date"), written


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59_999))
def test_a_duration_is_the_sum_of_its_parts(d: int, h: int, m: int, ms: int) -> None:
    seconds = d * 86400 + h * 3600 + m * 60 + ms / 1000
    for written in (f"{d}d{h}h{m}m{ms}ms", f"{d}d{h}h{m}m{ms / 1000:.3f}s"):
        read = moment(written)
        assert read is not None
        assert read.kind == "duration"
        assert math.isclose(read.value, seconds, abs_tol=1e-6)
        assert math.isclose(read.granularity, 0.001)


@given(st.binary(max_size=200))
def test_whatever_is_read_as_a_time_is_finite_and_bounded(value: bytes) -> None:
    read = moments(value)
    assert len(read) <= MAX_MEMBERS
    for told in read:
        if told is not None:
            assert math.isfinite(told.value)
            assert 0.0 < told.granularity <= 60.0


@given(
    st.one_of(st.integers(0, 10**20), st.floats(0, 1e20)),
    st.sampled_from(RESET_UNITS),
    st.none() | st.floats(1e-3, 1e8),
    st.floats(0, 4e9),
)
def test_a_reset_is_within_400_days_or_not_known(
    value: float, unit: ResetUnit, window: float | None, now: float
) -> None:
    read = moment(str(value) if value > 1e15 else f"{value:.3f}")
    if read is None:
        return
    reset = reset_of(read, unit, window, Context(now))
    if reset.reset_in is not None:
        assert 0.0 <= reset.reset_in <= FARTHEST
    if reset.reset_at is not None:
        assert reset.reset_in == max(0.0, reset.reset_at - now)


@given(st.integers(10**9, 4 * 10**9), st.sampled_from([1, 10**3, 10**6, 10**9]))
def test_an_epoch_is_the_same_instant_in_whatever_part_of_a_second(epoch: int, scale: int) -> None:
    assert epoch_scale(epoch * scale) == scale
    read = moment(str(epoch * scale))
    assert read is not None
    reset = reset_of(read, "auto", None, Context(float(epoch) - 5.0))
    assert reset == (5.0, float(epoch), 1.0)


# Policies.


@given(
    st.none() | st.integers(-10, 10**6),
    st.none() | st.integers(-10, 10**6),
    st.none() | st.floats(0, 1e6),
)
def test_a_policy_is_within_its_bounds_or_none(
    limit: int | None, remaining: int | None, reset_in: float | None
) -> None:
    found = policy(limit, remaining, Reset(reset_in))
    tells = not (limit is None and remaining is None and reset_in is None)
    assert (found is not None) == (tells and (limit is None or limit >= 0))
    if found is not None and found.remaining is not None:
        assert remaining is not None
        assert found.remaining == max(0, min(remaining, remaining if limit is None else limit))


@given(st.lists(limits, max_size=8))
def test_merged_policies_tell_no_less_and_merge_no_further(told: list[RateLimit]) -> None:
    kept = merged(told)
    assert len(kept) <= len(told)
    assert {each.remaining for each in kept} == {each.remaining for each in told}
    assert merged([*told, *told])[: len(kept)] == kept or any(r.remaining is None for r in told)
    for at, each in enumerate(kept):
        assert all(
            each.remaining is None or each.remaining != other.remaining or each != other
            for other in kept[:at]
        )


@given(st.lists(limits, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_policy_that_binds_has_the_least_left_in_any_order(
    told: list[RateLimit], rnd: object
) -> None:
    bound = binding(told)
    assert bound in told
    assert bound is not None
    rnd.shuffle(told)  # type: ignore[attr-defined]
    again = binding(told)
    assert again is not None
    assert (again.remaining, again.reset_in) == (bound.remaining, bound.reset_in)
    counted = [each.remaining for each in told if each.unit == "requests"]
    least = min((left for left in counted if left is not None), default=None)
    assert least is None or bound.remaining == least


# Names.


@given(names, names, names)
def test_a_word_is_found_where_the_pattern_has_its_star(a: str, word: str, b: str) -> None:
    assert word_of(f"{a}-*-{b}", f"{a}-{word}-{b}") == word
    assert word_of(f"{a}-*-{b}", f"{a}--{b}") is None
    assert word_of(f"{a}-*", f"{a}-{word}") == word
    family = HeaderFamily(remaining=f"{a}-*-{b}")
    told = facts(family, word)
    assert told.unit == word if "token" in word else word in (told.bucket, told.unit) or told.window


@given(st.text(max_size=140))
def test_a_readable_name_can_be_shown_anywhere(text: str) -> None:
    name = readable_name(text)
    if name is not None:
        assert 0 < len(name) <= 128
        assert name.isprintable()


@given(names, names, names, amounts, amounts, st.integers(0, 10**6))
def test_headers_of_ones_own_are_read_as_they_are_named(
    a: str, b: str, c: str, limit: int, remaining: int, reset: int
) -> None:
    family = HeaderFamily(
        limit=f"My-{a}-1", remaining=f"My-{b}-2", reset=f"My-{c}-3", reset_unit="delta"
    )
    headers = [
        (f"MY-{a}-1".encode(), b"%d" % limit),
        (f"my-{b}-2".encode(), b"%d" % remaining),
        (f"My-{c}-3".encode(), b"%d" % reset),
    ]
    (told,) = RateLimitReader([family]).read(headers, wall=0.0).limits
    assert (told.limit, told.remaining) == (limit, min(limit, remaining))
    assert told.reset_in == float(reset)
