"""``schema``: what a log line looks like, for programs that read them."""

import sys

from ..instrumentation.schema import log_schema_text


def schema() -> None:
    """Print the JSON Schema of the log lines."""
    sys.stdout.write(log_schema_text())
    sys.stdout.flush()
