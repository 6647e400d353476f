"""How long ``pytest -m soak`` looks; a failure prints the blob that repeats it."""

from hypothesis import HealthCheck, settings

LONG = settings(
    max_examples=4_000,
    stateful_step_count=60,
    derandomize=False,
    deadline=None,
    print_blob=True,
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
)
