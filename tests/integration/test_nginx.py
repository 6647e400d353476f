"""Over loopback against nginx, which limits in silence: a rate is found, few are refused."""

from collections import Counter
from pathlib import Path

import pytest

from httpx_resilience import GENERIC, AsyncResilientTransport
from support.servers import CALLS, find_nginx, run_job, serving_nginx

NGINX = find_nginx()
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: nginx-light)"),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("refusal", [429, 503])
async def test_every_call_succeeds_under_a_silent_limit(refusal: int, tmp_path: Path) -> None:
    assert NGINX is not None
    limits = f"limit_req zone=calls burst=10 nodelay; limit_req_status {refusal};"
    statuses = Counter[int]()
    with serving_nginx(NGINX, tmp_path, limits, statuses) as url:
        report = await run_job(AsyncResilientTransport(dialect=GENERIC), url)
    assert report.endings == {200: CALLS}
    assert statuses[200] == CALLS
    assert statuses[refusal] <= 0.3 * statuses.total(), statuses
    assert report.seconds < 20.0  # 4 to 8, mostly the last backoffs
