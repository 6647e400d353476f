"""Why calls are held back: the closed vocabulary of ``throttle_held`` and ``rate_limits()``."""

EXHAUSTED = "exhausted"
SERVER_HINT = "server_hint"
COLD_START = "cold_start"
SILENT_LIMIT = "silent_limit"
OVERLOAD = "overload"
CONCURRENCY = "concurrency"
LEASE = "lease"
