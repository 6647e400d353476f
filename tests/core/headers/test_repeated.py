"""What is remembered of the response before never changes what a response tells."""

from collections.abc import Sequence
from random import Random

import pytest

from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.headers.layout import Place

Headers = list[tuple[bytes, bytes]]
DATE = b"Tue, 14 Nov 2023 22:13:20 GMT"
PLAIN: Headers = [
    (b"Date", DATE),
    (b"X-RateLimit-Limit", b"100"),
    (b"X-RateLimit-Remaining", b"7"),
    (b"X-RateLimit-Reset", b"1700000030"),
]


def changed(headers: Headers, name: bytes, value: bytes) -> Headers:
    return [(key, value if key == name else old) for key, old in headers]


def both(before: Sequence[Headers], headers: Headers) -> None:
    """Check that a reader that read others before reads as one that did not."""
    reader = RateLimitReader()
    for earlier in before:
        reader.read(earlier, wall=5.0)
    assert reader.read(headers, wall=9.0) == RateLimitReader().read(headers, wall=9.0)


@pytest.mark.parametrize(
    "remaining",
    [b"6", b"0", b"100", b"101", b"-1", b"6.5", b"", b"six", b"9" * 30, b" 5", b"5, 4", b"5;w=60"],
)
def test_another_remainder_is_read_as_if_nothing_had_come_before(remaining: bytes) -> None:
    both([PLAIN], changed(PLAIN, b"X-RateLimit-Remaining", remaining))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Date", b"Tue, 14 Nov 2023 22:13:21 GMT"),
        (b"Date", b"yesterday"),
        (b"X-RateLimit-Limit", b"50"),
        (b"X-RateLimit-Reset", b"1700000031"),
        (b"X-RateLimit-Reset", b"30"),
    ],
)
def test_whatever_else_changes_is_read_as_well(name: bytes, value: bytes) -> None:
    both([PLAIN], changed(changed(PLAIN, b"X-RateLimit-Remaining", b"6"), name, value))


@pytest.mark.parametrize(
    "headers",
    [
        [*PLAIN, (b"Age", b"5")],
        [*PLAIN, (b"X-RateLimit-Used", b"93")],
        [*PLAIN, (b"X-RateLimit-Remaining", b"3")],
        [*PLAIN, (b"X-RateLimit-Scope", b"user")],
        [*PLAIN, (b"RateLimit", b'"p";r=3;t=5')],
        [*PLAIN, (b"Retry-After", b"4")],
        PLAIN[1:],
        PLAIN[:1],
        [],
    ],
)
def test_more_or_fewer_headers_are_all_read(headers: Headers) -> None:
    both([PLAIN, PLAIN], headers)
    both([headers, headers], PLAIN)
    both([headers, headers], headers)
    both([headers, headers], changed(headers, b"X-RateLimit-Remaining", b"5"))


def test_of_more_names_than_are_kept_none_is_remembered() -> None:
    many: list[Headers] = [
        [(b"%s-%d" % (word, n), b"") for n in range(1050)] for word in (b"a", b"b")
    ]
    aged = [*many[1], *PLAIN, (b"Age", b"5")]  # which at first is one name too many
    both([PLAIN, many[0][:1000], aged], aged)


def test_any_sequence_of_responses_is_read_as_each_alone() -> None:
    chance = Random(7)
    names = [name for name, _ in PLAIN] + [b"x-ratelimit-used", b"X-RateLimit-Remaining", b"Age"]
    values = [DATE, b"100", b"7", b"8", b"0", b"1700000030", b"1700000031", b"x", b"-3", b"60"]
    repeated = RateLimitReader()
    for _ in range(20_000):
        headers = changed(PLAIN, b"X-RateLimit-Remaining", chance.choice(values))
        for _ in range(chance.choice([0, 0, 0, 1, 2])):
            headers.insert(chance.randrange(5), (chance.choice(names), chance.choice(values)))
        alone = RateLimitReader().read(headers, wall=1.0) if chance.random() < 0.05 else None
        told = repeated.read(headers, wall=1.0)
        assert alone is None or told == alone, headers


def policy_of(reader: RateLimitReader) -> Place:
    """Return where the one policy stands that a reader remembers."""
    assert reader._layout is not None
    place = reader._layout.policies
    assert isinstance(place, Place)
    return place


def test_only_the_remainder_is_read_of_a_response_that_repeats_the_rest() -> None:
    reader = RateLimitReader()
    first = reader.read(PLAIN, wall=5.0)
    remembered = policy_of(reader)._known
    (known,) = remembered.values()
    assert known.rest == first.limits[0][2:]
    second = reader.read(changed(PLAIN, b"X-RateLimit-Remaining", b"6"), wall=77.0)
    assert second.limits[0] == first.limits[0]._replace(remaining=6)
    assert list(remembered.values()) == [known]


def test_resets_that_come_by_turns_are_read_once_each() -> None:
    reader = RateLimitReader()
    turns = [changed(PLAIN, b"X-RateLimit-Reset", b"17000000%d" % nth) for nth in (30, 31, 30, 31)]
    told = [reader.read(headers, wall=5.0).limits[0].reset_in for headers in turns]
    assert (told, len(policy_of(reader)._known)) == ([30.0, 31.0, 30.0, 31.0], 2)


RESETS = (
    *(b"30", b"5.25", b"1700000031", b"1700000031500", b"6m0s", b"Tue, 14 Nov 2023 22:14:20 GMT"),
    *(b"", b"soon", b"-5", b"5, 6", b"9" * 18, b"9" * 300),
)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("limit", [b"100", b"100;w=60", b"5", b"-1", b"", b"100, 50", b"9" * 300])
def test_a_reset_that_never_came_before_is_read_in_place_as_if_nothing_had_come_before(
    limit: bytes, reset: bytes
) -> None:
    headers = changed(PLAIN, b"X-RateLimit-Limit", limit)
    both([PLAIN], changed(headers, b"X-RateLimit-Reset", reset))
    both([PLAIN], changed(changed(headers, b"X-RateLimit-Reset", reset), b"Date", b"today"))


@pytest.mark.parametrize("more", [b"X-RateLimit-Resource", b"RateLimit-Policy", b"Retry-After"])
def test_what_stands_beside_a_trio_is_read_with_it(more: bytes) -> None:
    headers = [*PLAIN, (more, b"2000;w=2")]
    both([headers], changed(headers, b"X-RateLimit-Reset", b"2000"))


def test_what_is_remembered_is_bounded_in_number_and_in_size() -> None:
    reader = RateLimitReader()
    for nth in range(1000):
        reader.read(changed(PLAIN, b"X-RateLimit-Reset", b"%d" % (1700000030 + nth)), wall=5.0)
        assert 0 < len(policy_of(reader)._known) <= 64
    long = RateLimitReader()
    assert long.read(changed(PLAIN, b"Date", DATE + b" " * 600), wall=5.0).limits
    assert not policy_of(long)._known


def test_another_layout_is_remembered_instead() -> None:
    reader = RateLimitReader()
    reader.read(PLAIN, wall=5.0)
    reader.read([(b"Server", b"x"), *PLAIN], wall=5.0)
    assert len(policy_of(reader)._known) == 1
    both([PLAIN, [(b"Server", b"x"), *PLAIN]], PLAIN)


GITHUB: Headers = [*PLAIN, (b"X-RateLimit-Used", b"93"), (b"X-RateLimit-Resource", b"core")]
MISTAKEN = (b"", b"9", b"x", b"9, 8", b"9;w=60", b"-1", b"9" * 19, b"0" * 25 + b"6", b"9.5")
STRUCTURED: Headers = [
    (b"Date", DATE),
    (b"RateLimit", b'"default";r=50;t=30'),
    (b"RateLimit-Policy", b'"default";q=100;w=60'),
]
LLM: Headers = [
    (b"Date", DATE),
    *((b"x-ratelimit-limit-" + unit, b"100") for unit in (b"requests", b"tokens")),
    (b"x-ratelimit-remaining-requests", b"7"),
    (b"x-ratelimit-remaining-tokens", b"60"),
    *((b"x-ratelimit-reset-" + unit, b"120ms") for unit in (b"requests", b"tokens")),
]


@pytest.mark.parametrize("value", MISTAKEN)
@pytest.mark.parametrize("name", [name for name, _ in GITHUB[1:]])
def test_five_headers_are_read_in_place_as_if_nothing_had_come_before(
    name: bytes, value: bytes
) -> None:
    both([GITHUB, GITHUB], changed(GITHUB, name, value))
    both([changed(GITHUB, name, value)], GITHUB)


@pytest.mark.parametrize("value", [*MISTAKEN, b"7", b"1m30.5s", b"1700000031"])
@pytest.mark.parametrize("name", [name for name, _ in LLM[1:]])
def test_two_policies_are_read_in_place_as_if_nothing_had_come_before(
    name: bytes, value: bytes
) -> None:
    both([LLM, LLM], changed(LLM, name, value))
    both([changed(LLM, name, value)], LLM)


def test_two_policies_with_the_same_remainder_are_looked_at_closely() -> None:
    kong = [*PLAIN, *((name[2:], value) for name, value in PLAIN[1:])]
    other = changed(kong, b"RateLimit-Remaining", b"8")
    both([other, other], kong)
    both([kong, kong], other)


FIELDS = (
    *(b'"default";r=7;t=30', b'"default";r=50;t=29', b'"default";r=101;t=30', b'"default";r=-1'),
    *(b'"default";r=5;r=6', b'"default";r=5;R=1', b'"default";r=5; r =6', b'"default";r=;t=3'),
    *(b'"a;r=5";r=6', b'"a\\";r=5";r=6', b'"default";pk=";r=5";r=6', b'"default";r=5.5', b"r=5"),
    *(b'"default";r=5;t=3, "other";r=6;t=4', b'"default";r=5, "other"', b"default;r=5", b""),
    *(b"limit=100, remaining=5, reset=6", b"limit=100, remaining=5, remaining=6", b'"x";r=5;t=6'),
    *(b'"default";r=%s;t=3' % digits for digits in (b"9" * 19, b"0" * 25 + b"6")),
)


@pytest.mark.parametrize("policy", [b'"default";q=100;w=60', b"100;w=60", b'"x";q=5', b""])
@pytest.mark.parametrize("field", FIELDS)
def test_a_structured_field_is_read_in_place_as_if_nothing_had_come_before(
    field: bytes, policy: bytes
) -> None:
    headers = changed(changed(STRUCTURED, b"RateLimit", field), b"RateLimit-Policy", policy)
    both([STRUCTURED, STRUCTURED], headers)
    both([headers, headers], changed(headers, b"Date", DATE.replace(b":20", b":21")))
    both([STRUCTURED[:2]], headers[:2])
    both([headers, STRUCTURED], changed(headers, b"Date", b"yesterday"))


def test_other_headers_beside_a_structured_field_are_read_with_it() -> None:
    def aged(age: bytes) -> Headers:
        return [*STRUCTURED, (b"Age", age)]

    both([aged(b"0"), aged(b"0")], aged(b"5"))


def test_a_limit_that_is_reckoned_from_what_was_used_is_reckoned_each_time() -> None:
    spent = [*PLAIN[:1], *PLAIN[2:], (b"X-RateLimit-Used", b"93"), (b"Retry-After", b"4")]
    both([spent, spent], changed(spent, b"X-RateLimit-Remaining", b"5"))
    both([spent[:-1], spent[:-1]], changed(spent[:-1], b"X-RateLimit-Used", b"5"))


def test_a_window_that_stands_beside_one_remainder_is_not_taken_for_the_next() -> None:
    later = changed(PLAIN, b"X-RateLimit-Reset", b"1700000031")
    both([PLAIN, PLAIN, changed(later, b"X-RateLimit-Remaining", b"9;w=60")], later)
