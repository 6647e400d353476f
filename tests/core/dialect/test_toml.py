"""A dialect as TOML: every entry, and what is said of those that are wrong."""

import re

import pytest

from httpx_resilience import (
    SCAIVAULT,
    CategoryRule,
    CostEstimate,
    Dialect,
    Envelope,
    ErrorClass,
    ErrorSpec,
    HeaderFamily,
    MessageRule,
    RequestRules,
)
from httpx_resilience._core.dialect.envelope import read_error, read_summary

EVERYTHING = """
name = "everything"
unknown_code = "permanent"
stop_layers_above = true

[codes]
BUSY = "transient"
"quota.daily" = "PERMANENT"

[codes.BROKEN]
class = "internal"
status = 500
category = "Server"
meaning = "It broke."
advice = "Tell us."
wait = 60

[statuses]
503 = "transient"
429 = "rate_limited"

[statuses_that_wait]
403 = "rate_limited"

[envelope]
code = ["error.code", "errors.*.code", "*.code"]
message = "error.message"
details = "error.details"
request_id = ["error.request_id", "trace"]
wait = ["error.retry_after", "error.details[@type=example.com/rpc.RetryInfo].retryDelay"]
ignore_case = true
code_headers = ["X-Error-Code", "X-Reason"]
errors_in_success = true

[[envelope.messages]]
contains = "secondary rate limit"
code = "BUSY"
statuses = [403, 429]

[[envelope.messages]]
contains = "is broken"
code = "BROKEN"

[requests]
put_is_idempotent = false
post_is_repeatable = true
request_id_header = "X-Request-ID"
idempotency_header = "Idempotency-Key"
response_id_header = "Request-Id"

[[requests.categories]]
name = "upload"
path = "/v1/files/*"
methods = ["put", "POST"]
cost = 5

[[requests.categories]]
name = "chat"
path = "/v1/chat"
field = "options.model"

[[requests.categories]]
name = "deploy"
path = "/deployments/{deployment}/*"

[[requests.categories]]
name = "read"

[[requests.costs]]
unit = "output-tokens"
bytes_per_unit = false
fields = ["max_tokens", "options.limits.*"]

[[requests.costs]]
bytes_per_unit = 3.5

[[rate_limits]]
limit = "X-My-Limit"
remaining = "X-My-Remaining"
reset = "X-My-Reset"
used = "X-My-Used"
reset_unit = "ms"
window = 60.0
unit = "units"
bucket = "mine"
"""


def test_every_entry_is_taken() -> None:
    assert Dialect.from_toml(EVERYTHING) == Dialect(
        name="everything",
        unknown_code=ErrorClass.PERMANENT,
        codes={
            "BUSY": ErrorSpec(code="BUSY", error_class=ErrorClass.TRANSIENT),
            "quota.daily": ErrorSpec(code="quota.daily", error_class=ErrorClass.PERMANENT),
            "BROKEN": ErrorSpec(
                code="BROKEN",
                error_class=ErrorClass.INTERNAL,
                status=500,
                category="Server",
                meaning="It broke.",
                advice="Tell us.",
                wait=60,
            ),
        },
        stop_layers_above=True,
        statuses_that_wait={403: ErrorClass.RATE_LIMITED},
        statuses={503: ErrorClass.TRANSIENT, 429: ErrorClass.RATE_LIMITED},
        envelope=Envelope(
            code=(("error", "code"), ("errors", "*", "code"), ("*", "code")),
            message=(("error", "message"),),
            details=(("error", "details"),),
            request_id=(("error", "request_id"), ("trace",)),
            wait=(
                ("error", "retry_after"),
                ("error", "details", "[@type=example.com/rpc.RetryInfo]", "retryDelay"),
            ),
            ignore_case=True,
            code_headers=("X-Error-Code", "X-Reason"),
            errors_in_success=True,
            messages=(
                MessageRule(contains="secondary rate limit", code="BUSY", statuses=(403, 429)),
                MessageRule(contains="is broken", code="BROKEN"),
            ),
        ),
        requests=RequestRules(
            put_is_idempotent=False,
            post_is_repeatable=True,
            request_id_header="X-Request-ID",
            idempotency_header="Idempotency-Key",
            response_id_header="Request-Id",
            categories=(
                CategoryRule(name="upload", path="/v1/files/*", methods=("PUT", "POST"), cost=5),
                CategoryRule(name="chat", path="/v1/chat", field=("options", "model")),
                CategoryRule(name="deploy", path="/deployments/{deployment}/*"),
                CategoryRule(name="read"),
            ),
            costs=(
                CostEstimate(
                    unit="output-tokens",
                    bytes_per_unit=None,
                    fields=(("max_tokens",), ("options", "limits", "*")),
                ),
                CostEstimate(bytes_per_unit=3.5),
            ),
        ),
        rate_limits=(
            HeaderFamily(
                limit="X-My-Limit",
                remaining="X-My-Remaining",
                reset="X-My-Reset",
                used="X-My-Used",
                reset_unit="ms",
                window=60.0,
                unit="units",
                bucket="mine",
            ),
        ),
    )


def test_a_name_is_enough() -> None:
    assert Dialect.from_toml('name = "x"') == Dialect(name="x")


def test_a_dialect_of_a_file_reads_what_the_file_says() -> None:
    dialect = Dialect.from_toml(EVERYTHING)
    body = b'{"errors": [{"code": "busy"}], "trace": "t1", "error": {"retry_after": 1.5}}'
    info = read_error(body, dialect)
    assert info is not None
    assert (info.code, info.request_id) == ("busy", "t1")
    assert info.spec is dialect.codes["busy"]
    assert read_summary(body, dialect).wait == 1.5


def test_the_first_rule_that_fits_names_the_budget_and_the_cost() -> None:
    rules = Dialect.from_toml(EVERYTHING).requests
    assert (rules.category_of("PUT", "/v1/files/a/b"), rules.cost_of("PUT", "/v1/files/a")) == (
        "upload",
        5,
    )
    assert (rules.category_of("GET", "/v1/files/a"), rules.cost_of("GET", "/v1/files/a")) == (
        "read",
        1,
    )


NAMED = 'name = "x"\n'
WRONG = {
    "not TOML": ("name = ", "dialect: not TOML"),
    "no name": ("codes = {}", "name: missing"),
    "a name that is none": ("name = 7", "name: got 7, allowed is a string"),
    "an unknown entry": (NAMED + "code = {}", r"^code: unknown entry.*did you mean 'codes'"),
    "an unknown class": (
        NAMED + 'codes = {busy = "transiant"}',
        r"^codes\.busy\.class: got 'transiant'.*did you mean 'transient'",
    ),
    "a class that is a number": (NAMED + "codes = {busy = 7}", r"^codes\.busy: got 7"),
    "a row without class": (NAMED + "codes = {busy = {status = 503}}", r"^codes\.busy\.class: got"),
    "an unknown entry of a row": (
        NAMED + 'codes = {busy = {class = "transient", state = 503}}',
        r"^codes\.busy\.state: unknown entry.*did you mean 'status'",
    ),
    "a status that is none at all": (
        NAMED + 'codes = {busy = {class = "transient", status = 7}}',
        r"^codes\.busy\.status: got 7",
    ),
    "a status that is a word": (
        NAMED + 'codes = {busy = {class = "transient", status = "503"}}',
        r"^codes\.busy\.status: got '503'",
    ),
    "a code that cannot be told": (
        NAMED + 'codes = {"a b" = "transient"}',
        r"^codes\.a b\.code",
    ),
    "codes that are no table": (NAMED + "codes = [1]", r"^codes: got \[1\], allowed is a table"),
    "an unknown default": (
        NAMED + 'unknown_code = "permanant"',
        "^unknown_code: got .*did you mean 'permanent'",
    ),
    "a status that is none": (NAMED + 'statuses = {busy = "transient"}', r"^statuses\.busy: "),
    "a status out of range": (NAMED + 'statuses = {200 = "transient"}', r"^statuses\.200: "),
    "a status of many digits": (NAMED + 'statuses = {5030 = "transient"}', r"^statuses\.5030: "),
    "a status of an unknown class": (
        NAMED + 'statuses = {503 = "transcient"}',
        r"^statuses\.503: got .*did you mean 'transient'",
    ),
    "an unknown entry of the envelope": (
        NAMED + 'envelope = {codes = "a"}',
        r"^envelope\.codes: unknown entry.*did you mean 'code'",
    ),
    "a path that is none": (NAMED + "envelope = {code = 7}", r"^envelope\.code: got 7"),
    "an empty path": (NAMED + 'envelope = {code = [""]}', r"^envelope\.code: got \[''\]"),
    "a path that is written otherwise": (
        NAMED + 'envelope = {wait = "a[b.c"}',
        r"^envelope\.wait: got 'a\[b\.c', allowed is a path",
    ),
    "a path that is too long": (
        NAMED + f'envelope = {{code = "{".".join("a" * 17)}"}}',
        r"^envelope\.code: got a path of 17 elements",
    ),
    "a wait that is none": (
        NAMED + 'codes = {busy = {class = "transient", wait = 0}}',
        r"^codes\.busy\.wait: got 0",
    ),
    "a wait that is a word": (
        NAMED + 'codes = {busy = {class = "transient", wait = "1m"}}',
        r"^codes\.busy\.wait: got '1m'",
    ),
    "headers that are none": (
        NAMED + "envelope = {code_headers = [7]}",
        r"^envelope\.code_headers: got \[7\], allowed",
    ),
    "a header of the envelope that is none": (
        NAMED + 'envelope = {code_headers = "a b"}',
        r"^envelope\.code_headers: got 'a b'",
    ),
    "rules that are no tables": (
        NAMED + 'envelope = {messages = ["a"]}',
        r"^envelope\.messages\[0\]: got 'a', allowed",
    ),
    "an unknown entry of a rule": (
        NAMED + 'envelope = {messages = [{contains = "a", code = "b", status = [403]}]}',
        r"^envelope\.messages\[0\]\.status: unknown entry.*did you mean 'statuses'",
    ),
    "a rule without a code": (
        NAMED + 'envelope = {messages = [{contains = "a"}]}',
        r"^envelope\.messages\[0\]\.code: missing",
    ),
    "a rule that looks for nothing": (
        NAMED + 'envelope = {messages = [{contains = "", code = "b"}]}',
        r"^envelope\.messages\[0\]\.contains: got ''",
    ),
    "a rule of one status": (
        NAMED + 'envelope = {messages = [{contains = "a", code = "b", statuses = 403}]}',
        r"^envelope\.messages\[0\]\.statuses: got 403",
    ),
    "a flag of the envelope": (
        NAMED + 'envelope = {errors_in_success = "yes"}',
        r"^envelope\.errors_in_success: got 'yes', allowed is true or false",
    ),
    "a flag of the dialect": (
        NAMED + "stop_layers_above = 1",
        "^stop_layers_above: got 1, allowed is true or false",
    ),
    "a flag of the requests": (
        NAMED + 'requests = {post_is_repeatable = "yes"}',
        r"^requests\.post_is_repeatable: got 'yes', allowed is true or false",
    ),
    "a status that waits out of range": (
        NAMED + 'statuses_that_wait = {200 = "transient"}',
        r"^statuses_that_wait\.200: allowed",
    ),
    "a status that waits of an unknown class": (
        NAMED + 'statuses_that_wait = {403 = "limited"}',
        r"^statuses_that_wait\.403: got 'limited'.*did you mean",
    ),
    "a flag that is none": (
        NAMED + "envelope = {ignore_case = 1}",
        r"^envelope\.ignore_case: got 1, allowed is true or false",
    ),
    "an unknown entry of the requests": (
        NAMED + 'requests = {request_id = "X"}',
        r"^requests\.request_id: unknown entry.*did you mean 'request_id_header'",
    ),
    "a header that is none": (
        NAMED + "requests = {request_id_header = 1}",
        r"^requests\.request_id_header: got 1",
    ),
    "another flag that is none": (
        NAMED + 'requests = {put_is_idempotent = "no"}',
        r"^requests\.put_is_idempotent: got 'no', allowed is true or false",
    ),
    "categories that are no tables": (
        NAMED + 'requests = {categories = ["read"]}',
        r"^requests\.categories\[0\]: got 'read', allowed is a table",
    ),
    "categories that are no array": (
        NAMED + 'requests = {categories = "read"}',
        r"^requests\.categories: got 'read', allowed is an array",
    ),
    "an unknown entry of a category": (
        NAMED + 'requests = {categories = [{name = "a", method = ["GET"]}]}',
        r"^requests\.categories\[0\]\.method: unknown entry.*did you mean 'methods'",
    ),
    "a category without a name": (
        NAMED + "requests = {categories = [{cost = 2}]}",
        r"^requests\.categories\[0\]\.name: missing",
    ),
    "a cost of nothing": (
        NAMED + 'requests = {categories = [{name = "a"}, {name = "b", cost = 0}]}',
        r"^requests\.categories\[1\]\.cost: got 0",
    ),
    "methods that are a word": (
        NAMED + 'requests = {categories = [{name = "a", methods = "PUT"}]}',
        r"^requests\.categories\[0\]\.methods: got 'PUT'",
    ),
    "methods that are numbers": (
        NAMED + 'requests = {categories = [{name = "a", methods = [1]}]}',
        r"^requests\.categories\[0\]\.methods: got 1",
    ),
    "a field of the body that is no path": (
        NAMED + 'requests = {categories = [{name = "a", field = "x..y"}]}',
        r"^requests\.categories\[0\]\.field: got 'x\.\.y', allowed is a path",
    ),
    "several fields of the body": (
        NAMED + 'requests = {categories = [{name = "a", field = ["x", "y"]}]}',
        r"^requests\.categories\[0\]\.field: got \['x', 'y'\], allowed is a string",
    ),
    "two placeholders": (
        NAMED + 'requests = {categories = [{name = "a", path = "/{x}/{y}"}]}',
        r"^requests\.categories\[0\]\.path: got '/\{x\}/\{y\}', allowed is one placeholder",
    ),
    "a placeholder beside a field": (
        NAMED + 'requests = {categories = [{name = "a", path = "/{x}", field = "y"}]}',
        r"^requests\.categories\[0\]\.path: got '/\{x\}', allowed is one placeholder, or none",
    ),
    "costs that are no array": (
        NAMED + "requests = {costs = 900}",
        r"^requests\.costs: got 900, allowed is an array of tables",
    ),
    "an unknown entry of a cost": (
        NAMED + 'requests = {costs = [{units = "tokens"}]}',
        r"^requests\.costs\[0\]\.units: unknown entry.*did you mean 'unit'",
    ),
    "a unit of a cost that is a number": (
        NAMED + "requests = {costs = [{unit = 5}]}",
        r"^requests\.costs\[0\]\.unit: got 5, allowed is a string",
    ),
    "no bytes a unit": (
        NAMED + "requests = {costs = [{}, {bytes_per_unit = 0}]}",
        r"^requests\.costs\[1\]\.bytes_per_unit: got 0, allowed is a finite number above 0",
    ),
    "bytes a unit that are true": (
        NAMED + "requests = {costs = [{bytes_per_unit = true}]}",
        r"^requests\.costs\[0\]\.bytes_per_unit: got True",
    ),
    "fields of a cost that are numbers": (
        NAMED + "requests = {costs = [{fields = [1]}]}",
        r"^requests\.costs\[0\]\.fields: got \[1\], allowed is a path",
    ),
    "an unknown entry of a family": (
        NAMED + 'rate_limits = [{limits = "X"}]',
        r"^rate_limits\[0\]\.limits: unknown entry.*did you mean 'limit'",
    ),
    "a family without a header": (NAMED + "rate_limits = [{}]", r"^rate_limits\[0\]: HeaderFamily"),
    "a header name that is none": (
        NAMED + 'rate_limits = [{limit = "a b"}]',
        r"^rate_limits\[0\]\.limit: got 'a b'",
    ),
    "a unit of time that is none": (
        NAMED + 'rate_limits = [{reset = "X", reset_unit = "secs"}]',
        r"^rate_limits\[0\]\.reset_unit: got 'secs'",
    ),
    "families that are no array": (
        NAMED + "rate_limits = 7",
        "^rate_limits: got 7, allowed is an array",
    ),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Dialect.from_toml(text)


def test_a_misspelt_code_in_an_extension_of_a_file_is_refused() -> None:
    dialect = Dialect.from_toml(EVERYTHING)
    with pytest.raises(ValueError, match=r"everything\.extend.*did you mean 'broken'"):
        dialect.extend(codes={"BROKN": ErrorClass.TRANSIENT})
    with pytest.raises(ValueError, match="did you mean 'rate_limited'"):
        SCAIVAULT.extend(codes={"rate_limitd": ErrorClass.TRANSIENT})
    assert dialect.extend(codes={"broken": ErrorClass.TRANSIENT}).spec("Broken") is not None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("x = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ('[[rate_limits]]\nremaining = "X"\nwindow = 0x1' + "0" * 300, "rate_limits[0]"),
        ('[requests]\ncategories = [{ path = "/x" }]', "requests.categories[0].name"),
        ('[requests]\nrequest_id_header = "a b"', "request_id_header"),
        ('[codes.x]\nclass = "transient"\nmeaning = 7', "codes.x"),
        ('envelope = { ignore_case = true }\ncodes = { a = "transient", A = "conflict" }', "'A'"),
    ],
)
def test_what_is_odd_in_a_file_is_a_value_error_that_names_it(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        Dialect.from_toml(f'name = "x"\n{text}')


ENTRIES = {
    "rate_limits[0].window": "rate_limits = [{ remaining = 'X-Left', window = @ }]",
    "codes.busy.status": "codes = { busy = { class = 'transient', status = @ } }",
    "codes.busy": "codes = { busy = @ }",
    "requests.categories[0].cost": "requests = { categories = [{ name = 'a', cost = @ }] }",
    "unknown_code": "unknown_code = @",
    "codes.busy.class": "codes = { busy = { class = @ } }",
    "envelope.code": "envelope = { code = [@] }",
    "envelope.ignore_case": "envelope = { ignore_case = @ }",
    "rate_limits": "rate_limits = @",
}


@pytest.mark.parametrize(
    "written", [str(10**400), "0x" + "f" * 5000], ids=["decimal", "hexadecimal"]
)
@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_of_a_file_is_refused_by_its_name(entry: str, written: str) -> None:
    with pytest.raises(ValueError, match=r": got .*, allowed (is|are) ") as refused:
        Dialect.from_toml(f"name = 'x'\n{ENTRIES[entry].replace('@', written)}")
    assert str(refused.value).startswith(f"{entry}: ")


@pytest.mark.parametrize("entry", ENTRIES)
def test_digits_that_python_does_not_convert_are_refused_by_their_line(entry: str) -> None:
    with pytest.raises(ValueError, match=r"^dialect: line 2: got an integer of thousands of dig"):
        Dialect.from_toml(f"name = 'x'\n{ENTRIES[entry].replace('@', '9' * 5000)}")
