"""Slack: a word in ``error``, mostly with status 200 and ``"ok": false``.

Read: "Web API, evaluating responses" and "Rate limits" (docs.slack.dev), the errors that all
methods share (hex.pm/packages/slack_kit, ``priv/docs/common_errors.json``), slack_sdk 3.47.0.

``internal_error`` and ``fatal_error`` are not repeated: "it's possible some aspect of the operation
succeeded before the error was raised", and nothing keeps a second message from being posted.
"""

from .._core.dialect.catalog import Envelope, ErrorClass, RequestRules
from .._core.dialect.dialect import Dialect
from ._rows import catalogue, row

_LOAD = "Rate limit / availability"
_PARTLY = "Look whether it was done, then send it again by hand."

SLACK = Dialect(
    name="slack",
    codes=catalogue(
        # github.com/beginner-corp/slack/issues/105, with headers.
        row(
            "ratelimited",
            ErrorClass.RATE_LIMITED,
            429,
            "The method was called too often in this workspace.",
            "Spread the calls; each method has a limit of its own.",
            category=_LOAD,
        ),
        # Of incoming webhooks: github.com/yassineaboukir/sublert/issues/46.
        row(
            "rate_limited",
            ErrorClass.RATE_LIMITED,
            429,
            "Too many messages to one webhook.",
            "Send at most one message a second.",
            category=_LOAD,
        ),
        # common_errors.json
        row(
            "internal_error",
            ErrorClass.PERMANENT,
            None,
            "Something went wrong at Slack, perhaps after a part was done.",
            _PARTLY,
            category=_LOAD,
        ),
        row(
            "fatal_error",
            ErrorClass.PERMANENT,
            None,
            "Something went badly wrong at Slack, perhaps after a part was done.",
            _PARTLY,
            category=_LOAD,
        ),
    ),
    envelope=Envelope(
        code=(("error",),),
        message=(("error",),),
        details=(("response_metadata",),),
        request_id=(),
        wait=(("retry_after",),),  # github.com/yassineaboukir/sublert/issues/46
        errors_in_success=True,  # hex.pm/packages/slack_kit, and slack_sdk, web/slack_response.py
    ),
    requests=RequestRules(
        response_id_header="x-slack-req-id",  # github.com/beginner-corp/slack/issues/105
    ),
)
"""Slack's Web API."""
