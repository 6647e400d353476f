"""Shopify: GraphQL's errors come with status 200, REST's without codes.

Read: "Shopify API limits" (shopify.dev/api/usage/rate-limits).
"""

from .._core.dialect.catalog import Envelope, ErrorClass, MessageRule, RequestRules
from .._core.dialect.dialect import Dialect
from ._rows import catalogue, row

SHOPIFY = Dialect(
    name="shopify",
    codes=catalogue(
        # A captured response: gist 56e3834834e250270062583f425274b9 of "lacom".
        row(
            "THROTTLED",
            ErrorClass.RATE_LIMITED,
            200,
            "The query costs more points than are left.",
            "Make the query cheaper, or spread the calls; points come back every second.",
            category="Rate limit",
        ),
    ),
    envelope=Envelope(
        code=(("errors", "*", "extensions", "code"),),
        message=(("errors", "*", "message"), ("errors",)),
        details=(("extensions", "cost"),),
        request_id=(),
        messages=(
            # community.shopify.com/t/graphql-admin-api-example-throttled-requests-response/8456
            MessageRule(contains="Throttled", code="THROTTLED", statuses=(200,)),
        ),
        errors_in_success=True,  # the captures above
    ),
    requests=RequestRules(
        response_id_header="x-request-id",  # github.com/Shopify/cli/issues/2541
    ),
)
"""Shopify's Admin API, GraphQL and REST."""
