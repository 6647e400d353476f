"""From a header's name to its part: remembered, and bounded."""

from httpx_resilience._core.headers.roles import MAX_NAMES, Roles

NAME = b"X-RateLimit-Remaining-Tokens"


def test_a_name_in_any_case_has_its_part_and_an_unknown_one_has_none() -> None:
    roles = Roles([])
    role = roles[NAME]
    assert role is not None
    assert role[1] == "remaining"
    assert roles[NAME.lower()] == role  # the same family, and the same word
    assert roles[b"X-RateLimit-Reset-Tokens"] == (role[0], "reset")
    assert roles[b"Content-Type"] is None


def test_of_one_response_no_more_than_two_thousand_new_names_are_looked_up() -> None:
    roles = Roles([])
    known = [roles[b"X-RateLimit-Limit-%d" % number] for number in range(5 * MAX_NAMES)]
    assert [role is not None for role in known].index(False) == len(roles) == 2 * MAX_NAMES


def test_a_name_of_more_than_128_bytes_is_neither_looked_up_nor_remembered() -> None:
    roles = Roles([])
    start = b"X-RateLimit-Limit-"
    assert roles[start.ljust(129, b"x")] is None
    assert len(roles) == 0
    assert roles[start.ljust(128, b"x")] is not None


def test_what_is_forgotten_is_made_anew() -> None:
    roles = Roles([])
    before = roles[NAME]
    roles.forget()
    assert len(roles) == 0
    after = roles[NAME]
    assert before is not None
    assert after is not None
    assert after[0] is not before[0]
