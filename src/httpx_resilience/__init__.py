"""A resilient transport for httpx.AsyncClient."""
