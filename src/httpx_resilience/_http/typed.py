"""The HTTP library's classes as type checkers see them in what serves both: httpx's.

httpx2 has the same shapes, which the tests of both show. At run time nothing is here: what needs a
class takes it from the ``Binding`` that it is given.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from httpx import (
        URL as URL,
    )
    from httpx import (
        AsyncBaseTransport as AsyncBaseTransport,
    )
    from httpx import (
        AsyncByteStream as AsyncByteStream,
    )
    from httpx import (
        AsyncClient as AsyncClient,
    )
    from httpx import (
        AsyncHTTPTransport as AsyncHTTPTransport,
    )
    from httpx import (
        Auth as Auth,
    )
    from httpx import (
        BaseTransport as BaseTransport,
    )
    from httpx import (
        BasicAuth as BasicAuth,
    )
    from httpx import (
        ByteStream as ByteStream,
    )
    from httpx import (
        Client as Client,
    )
    from httpx import (
        Headers as Headers,
    )
    from httpx import (
        HTTPStatusError as HTTPStatusError,
    )
    from httpx import (
        HTTPTransport as HTTPTransport,
    )
    from httpx import (
        Request as Request,
    )
    from httpx import (
        Response as Response,
    )
    from httpx import (
        SyncByteStream as SyncByteStream,
    )
    from httpx import (
        TimeoutException as TimeoutException,
    )
    from httpx import (
        TransportError as TransportError,
    )
