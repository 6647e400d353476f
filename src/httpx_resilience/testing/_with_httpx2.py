"""What is made of httpx2."""

from typing import Any, ClassVar

import httpx2

from ._in_process import InProcess


class InProcessTransport(InProcess, httpx2.BaseTransport):
    """Serves a vault to an ``httpx2.Client``."""

    library: ClassVar[Any] = httpx2
