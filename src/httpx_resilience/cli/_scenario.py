"""The demo's calls: what each one meets, and how it is to end, side by side.

Every reason to stop is met but those of long waits, every error class, and every way in which a
connection may break. What is to happen follows from the request alone, so it can be compared with
what did happen.
"""

import random
from dataclasses import dataclass
from typing import Literal, NamedTuple

from .. import BudgetPolicy, Policy, RetryPolicy
from .._core.retry.decision import (
    ATTEMPTS_EXHAUSTED,
    BODY_NOT_REPLAYABLE,
    BUDGET_EXHAUSTED,
    DISABLED,
    NOT_IDEMPOTENT,
    OUT_OF_TIME,
    PERMANENT,
    RETRY_AFTER_TOO_LONG,
    SUCCESS,
)
from ..testing import Fault

Method = Literal["GET", "PUT", "POST", "DELETE"]


class Ending(NamedTuple):
    """How a call ended, or is to end.

    Attributes:
        reason: As its history has it.
        result: The status, or the exception's name.
        attempts: How many were made.
    """

    reason: str
    result: str
    attempts: int = 1

    def __str__(self) -> str:
        attempts = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return f"{self.reason} ({self.result}) after {attempts}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Calls that meet the same thing.

    Attributes:
        name: What it shows; part of its calls' paths.
        ends: How each of its calls is to end.
        faults: What strikes each of its calls, attempt by attempt.
        count: How many calls.
        method: Their method.
        cas: The version of the secret that a PUT claims to have seen.
        policy: Instead of the transport's, as ``extensions["resilience"]``.
        timeout: Seconds that httpx waits for an answer.
        one_shot: The body is a stream that can be sent only once.
        token: ``"own"``: each call comes with an identity of its own, so that a wait the
            server asks that one for holds back nobody else; ``"wrong"``: with one nobody issued.
        is_written: There is a secret at its path before.
        is_down: It goes to a port where nobody listens.
    """

    name: str
    ends: Ending
    faults: tuple[Fault, ...] = ()
    count: int = 1
    method: Method = "GET"
    cas: int | None = None
    policy: Policy | Literal["default"] | None = "default"
    timeout: float = 10.0
    one_shot: bool = False
    token: Literal["shared", "own", "wrong"] = "shared"  # noqa: S105 - not a password
    is_written: bool = True
    is_down: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """One call of a scene."""

    scene: Scene
    path: str


WRITE = Scene(name="write", method="PUT", ends=Ending(SUCCESS, "201"), is_written=False)
"""How each secret comes to be, before anything else happens to it."""

_BUSY = Fault.code("service_unavailable")
_CRASH = Fault.code("internal_error")
_PROXY = Fault.html(503)
_THREE_ATTEMPTS = Policy(retry=RetryPolicy(max_attempts=3))
"""One fewer than usual, which spares whoever watches the last and longest wait."""


def _coded(code: str, status: int, count: int = 1) -> Scene:
    ends = Ending(PERMANENT, str(status))
    return Scene(name=code, faults=(Fault.code(code),), count=count, ends=ends)


_RATE_LIMITED = [
    Scene(
        name="asked-to-wait",
        faults=(Fault.code("rate_limited", retry_after=1),),
        count=8,
        ends=Ending(SUCCESS, "200", 2),
    ),
    Scene(
        name="asked-to-wait-before-a-post",
        method="POST",
        faults=(Fault.code("rate_limited", retry_after=1),),
        count=2,
        ends=Ending(SUCCESS, "201", 2),
        is_written=False,
    ),
    Scene(
        name="limited-by-a-proxy",
        method="POST",
        faults=(Fault.html(429),),
        count=2,
        ends=Ending(SUCCESS, "201", 2),
        is_written=False,
    ),
    Scene(
        name="asked-to-wait-an-hour",
        faults=(Fault.code("rate_limited", retry_after=3600),),
        count=2,
        ends=Ending(RETRY_AFTER_TOO_LONG, "429"),
        token="own",  # noqa: S106 - not a password
    ),
]

_TRANSIENT = [
    Scene(name="busy", faults=(_BUSY,), count=8, ends=Ending(SUCCESS, "200", 2)),
    Scene(name="busy-twice", faults=(_BUSY, _BUSY), count=3, ends=Ending(SUCCESS, "200", 3)),
    Scene(
        name="always-busy",
        faults=(_BUSY,) * 3,
        ends=Ending(ATTEMPTS_EXHAUSTED, "503", 3),
        policy=_THREE_ATTEMPTS,
    ),
    Scene(
        name="busy-before-a-post",
        method="POST",
        faults=(_BUSY,),
        count=3,
        ends=Ending(SUCCESS, "201", 2),
        is_written=False,
    ),
    Scene(name="proxy-page", faults=(_PROXY,), count=4, ends=Ending(SUCCESS, "200", 2)),
    Scene(
        name="proxy-page-after-a-post",
        method="POST",
        faults=(_PROXY,),
        count=2,
        ends=Ending(NOT_IDEMPOTENT, "503"),
        is_written=False,
    ),
    Scene(
        name="proxy-page-after-a-put",
        method="PUT",
        faults=(_PROXY,),
        ends=Ending(NOT_IDEMPOTENT, "503"),
    ),
    Scene(name="bad-gateway", faults=(Fault.status(502),), count=2, ends=Ending(SUCCESS, "200", 2)),
    Scene(
        name="gateway-timeout",
        method="DELETE",
        faults=(Fault.html(504),),
        ends=Ending(SUCCESS, "200", 2),
    ),
    Scene(
        name="one-shot-body",
        method="POST",
        faults=(_BUSY,),
        count=2,
        ends=Ending(BODY_NOT_REPLAYABLE, "503"),
        one_shot=True,
        is_written=False,
    ),
    Scene(
        name="asked-to-wait-too-long-for-this-call",
        faults=(Fault.code("service_unavailable", retry_after=30),),
        ends=Ending(OUT_OF_TIME, "503"),
        policy=Policy(retry=RetryPolicy(retry_for=5.0)),
        token="own",  # noqa: S106 - not a password
    ),
    Scene(
        name="no-budget-left",
        faults=(_BUSY,),
        ends=Ending(BUDGET_EXHAUSTED, "503"),
        policy=Policy(budget=BudgetPolicy(floor=0.0), park=None),
    ),
    Scene(name="no-policy", faults=(_BUSY,), ends=Ending(DISABLED, "503"), policy=None),
]

_INTERNAL = [
    Scene(name="crash", faults=(_CRASH,), count=4, ends=Ending(SUCCESS, "200", 2)),
    Scene(
        name="crash-before-a-post",
        method="POST",
        faults=(_CRASH,),
        ends=Ending(SUCCESS, "201", 2),
        is_written=False,
    ),
    Scene(
        name="crash-twice",
        faults=(_CRASH, _CRASH),
        count=2,
        ends=Ending(ATTEMPTS_EXHAUSTED, "500", 2),
    ),
]

_CONNECTION = [
    Scene(
        name=f"dropped-{where}-the-headers",
        faults=(Fault.drop(where),),
        count=2,
        ends=Ending(SUCCESS, "200", 2),
    )
    for where in ("before", "within")
] + [
    Scene(name="reset", faults=(Fault.drop("reset"),), count=2, ends=Ending(SUCCESS, "200", 2)),
    Scene(
        name="post-dropped-before-the-headers",
        method="POST",
        faults=(Fault.drop("before", processed=True),),
        count=2,
        ends=Ending(NOT_IDEMPOTENT, "RemoteProtocolError"),
        is_written=False,
    ),
    Scene(
        name="put-reset",
        method="PUT",
        faults=(Fault.drop("reset"),),
        ends=Ending(NOT_IDEMPOTENT, "ReadError"),
    ),
    Scene(
        name="error-dropped-after-the-headers",
        faults=(Fault.drop("after", code="service_unavailable"),),
        ends=Ending(SUCCESS, "200", 2),
    ),
    Scene(
        name="answer-dropped-after-the-headers",
        faults=(Fault.drop("after"),),
        count=2,
        ends=Ending(SUCCESS, "RemoteProtocolError"),
    ),
    Scene(
        name="no-answer-in-time",
        faults=(Fault.delay(20.0),),
        timeout=1.5,
        count=2,
        ends=Ending(SUCCESS, "200", 2),
    ),
    Scene(
        name="cut-at-the-deadline",
        faults=(Fault.delay(20.0),),
        ends=Ending(OUT_OF_TIME, "DeadlineExceeded"),
        policy=Policy(retry=RetryPolicy(deadline=1.0)),
    ),
    Scene(
        name="nobody-listens",
        ends=Ending(ATTEMPTS_EXHAUSTED, "ConnectError", 3),
        policy=_THREE_ATTEMPTS,
        is_written=False,
        is_down=True,
    ),
]

_PERMANENT = [
    Scene(name="missing", count=4, ends=Ending(PERMANENT, "404"), is_written=False),
    Scene(name="stale", method="PUT", cas=7, count=3, ends=Ending(PERMANENT, "409")),
    Scene(
        name="wrong-token",
        ends=Ending(PERMANENT, "401"),
        token="wrong",  # noqa: S106 - not a password
    ),
    _coded("quota_exceeded", 429, count=3),
    _coded("feature_disabled", 503, count=2),
    _coded("storage_error", 500, count=2),
    _coded("backend_timeout", 504),
    _coded("access_denied", 403, count=2),
    _coded("validation_error", 422),
]

_QUIET = [
    Scene(name="read", count=150, ends=Ending(SUCCESS, "200")),
    Scene(name="remove", method="DELETE", count=10, ends=Ending(SUCCESS, "200")),
]

SCENES = (*_QUIET, *_RATE_LIMITED, *_TRANSIENT, *_INTERNAL, *_CONNECTION, *_PERMANENT)


def planned(seed: int) -> list[Planned]:
    """Return the calls of all scenes, in an order that the seed decides."""
    calls = [
        Planned(scene, f"/v1/secrets/{scene.name}/{number}")
        for scene in SCENES
        for number in range(1, scene.count + 1)
    ]
    random.Random(seed).shuffle(calls)  # noqa: S311 - replayable
    return calls
