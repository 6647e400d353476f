"""AWS Secrets Manager: AWS JSON 1.1, whose errors are types, in the body or in a header.

Read in botocore 1.44.5: ``data/secretsmanager/2017-10-17/service-2.json`` (errors),
``data/_retry.json`` and ``retries/standard.py`` (what is repeated), ``parsers.py`` (where the type
stands, and its forms).
"""

from .._core.dialect.catalog import Envelope, ErrorClass, ErrorSpec, RequestRules
from .._core.dialect.dialect import Dialect
from ._rows import catalogue, row

_LOAD = "Rate limit / availability"
_REQUEST = "Request"


def _throttled(code: str) -> ErrorSpec:
    return row(
        code,
        ErrorClass.RATE_LIMITED,
        400,
        "Too many requests in a second.",
        "Cache secrets, or spread the calls.",
        category=_LOAD,
    )


def _refused(code: str, meaning: str, advice: str) -> ErrorSpec:
    return row(code, ErrorClass.PERMANENT, 400, meaning, advice, category=_REQUEST)


AWS_SECRETS_MANAGER = Dialect(
    name="aws_secrets_manager",
    codes=catalogue(
        # data/_retry.json: with status 400. ThrottlingException as an AWS SDK prints it:
        # github.com/external-secrets/external-secrets/issues/4065.
        _throttled("ThrottlingException"),
        _throttled("Throttling"),
        _throttled("ThrottledException"),
        _throttled("RequestThrottledException"),
        # retries/standard.py
        row(
            "RequestTimeout",
            ErrorClass.TRANSIENT,
            400,
            "The request took too long to arrive.",
            "Nothing to do; if it lasts, look at the network.",
            category=_LOAD,
        ),
        row(
            "RequestTimeoutException",
            ErrorClass.TRANSIENT,
            400,
            "The request took too long to arrive.",
            "Nothing to do; if it lasts, look at the network.",
            category=_LOAD,
        ),
        # service-2.json: a fault of the service, as all the rest are faults of the request.
        row(
            "InternalServiceError",
            ErrorClass.INTERNAL,
            None,
            "Something went wrong on the server's side.",
            "If it happens again, give the request id to AWS support.",
            category=_LOAD,
        ),
        _refused(
            "ResourceNotFoundException",
            "There is no such secret, or it has no such version.",
            "Check the secret's name, the region and the version.",
        ),
        _refused(
            "ResourceExistsException",
            "There is a secret of that name already.",
            "Use another name, or change the secret that is there.",
        ),
        _refused(
            "InvalidRequestException",
            "The secret's state does not allow this; it may be scheduled for deletion.",
            "Restore the secret, or wait until a rotation is over.",
        ),
        _refused(
            "DecryptionFailure",
            "The secret cannot be decrypted with its KMS key.",
            "Check the key's state and who may use it.",
        ),
        _refused(
            "EncryptionFailure",
            "The secret cannot be encrypted with the KMS key.",
            "Check the key's state and who may use it.",
        ),
        _refused(
            "LimitExceededException",
            "A quota of the account would be exceeded: of secrets or of versions, not of requests.",
            "Delete what is not used, or have the quota raised.",
        ),
    ),
    envelope=Envelope(
        code=(("__type",),),
        message=(("message",), ("Message",)),
        details=(),
        request_id=(),
        code_headers=("x-amzn-errortype",),
    ),
    requests=RequestRules(
        # botocore repeats every request of this protocol, all of them POST; those that write carry
        # a ClientRequestToken (service-2.json, idempotencyToken).
        post_is_repeatable=True,
        response_id_header="x-amzn-requestid",  # parsers.py
    ),
)
"""AWS Secrets Manager; requests are signed above the transport."""
