"""What is made of httpx."""

from typing import Any, ClassVar

import httpx

from ._in_process import InProcess


class InProcessTransport(InProcess, httpx.BaseTransport):
    """Serves a vault to an ``httpx.Client``."""

    library: ClassVar[Any] = httpx
