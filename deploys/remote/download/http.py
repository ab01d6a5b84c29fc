"""HTTP client for one download at a time: keep-alive, redirects, ranges, failures by kind.

`Interrupted` is worth another try; `SourceFailure` is not. A token is sent to the origin it was
given for and to no other, and is in no message.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import http.client
import re
import ssl
import urllib.request
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from ..lib.failure import SourceFailure

CHUNK = 1 << 18
REDIRECTS = (301, 302, 303, 307, 308)
TEMPORARY = (408, 425, 429)
REFUSALS = {
    401: "wants a token (401): put a valid one into the token_file of this source",
    403: "refuses access (403): check the token's rights, accept the model's licence on its page",
    404: "does not have it (404): check repository, revision and file name",
    410: "no longer has it (410): check repository and revision",
    416: "has a shorter file than the listing says (416): resolve the listing again",
}
Origin = tuple[str, str, int]


class Interrupted(Exception):
    """The transfer broke off; `retry_after` is how many seconds the server asks us to wait.

    `busy`: the server is overloaded; `idle`: it sent so little that it counts as nothing.
    """

    def __init__(
        self, text: str, retry_after: float = 0.0, *, busy: bool = False, idle: bool = False
    ) -> None:
        super().__init__(text)
        self.retry_after, self.busy, self.idle = retry_after, busy, idle


class RangeRefused(SourceFailure):
    """The file at the source ends before the byte that was requested."""


@dataclass(frozen=True)
class Body:
    """Content from `start` to `stop` of a file of `total` bytes; None if the server does not say.

    `chunks` raises Interrupted if the content ends early; call `close` after the last use.
    """

    start: int
    stop: int | None
    total: int | None
    chunks: Generator[bytes, None, None]

    def close(self) -> None:
        """Close the content, so that the connection is free for the next request."""
        self.chunks.close()


class Session:
    """Connections of one thread, one per origin; `timeout` is the longest silence in seconds."""

    def __init__(self, headers: Mapping[str, str] | None = None, *, timeout: float = 30.0) -> None:
        self._private = dict(headers or {})
        self._timeout = timeout
        self._connections: dict[Origin, http.client.HTTPConnection] = {}
        self._proxies = urllib.request.getproxies()

    def get(self, url: str, start: int = 0, end: int | None = None) -> Body:
        """Return the content of `url` from `start` to `end`.

        It begins at 0 if the server does not support ranges. Raise Interrupted or SourceFailure.
        """
        headers = {"Accept-Encoding": "identity", "User-Agent": "modelrack", "Accept": "*/*"}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        home, target = _origin(urlsplit(url)), url
        for _ in range(10):
            parts = urlsplit(target)
            private = self._private if _origin(parts) == home else {}
            response = self._send(parts, {**headers, **private})
            if response.status not in REDIRECTS:
                return self._body(response, parts, start)
            location = response.getheader("Location")
            self._discard(response, parts)
            if not location:
                raise SourceFailure(f"{parts.hostname} redirects to nowhere: check the endpoint")
            target = quote(urljoin(target, location), safe="%/:=&?~#+!$,;'@()*[]")
        raise SourceFailure(
            f"{urlsplit(url).hostname} redirects more than 10 times: check the endpoint"
        )

    def close(self) -> None:
        for origin in list(self._connections):
            self._drop(origin)

    def _send(self, parts: SplitResult, headers: dict[str, str]) -> http.client.HTTPResponse:
        origin = _origin(parts)
        reused = origin in self._connections
        connection = self._connections.get(origin) or self._connect(parts)
        self._connections[origin] = connection
        proxy = self._proxy(parts)
        if parts.scheme == "http" and proxy:
            target = parts._replace(fragment="").geturl()
            headers = {**headers, **_proxy_auth(proxy)}
        else:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("GET", target, headers=headers)
            return connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise SourceFailure(
                f"the certificate of {parts.hostname} is not trusted "
                f"({error.verify_message}): check the clock and the CA certificates"
            ) from error
        except (http.client.HTTPException, OSError) as error:
            self._drop(origin)
            if reused:  # an idle connection that the server closed is no failure
                return self._send(parts, headers)
            raise Interrupted(f"{parts.hostname}: {_reason(error, self._timeout)}") from error

    def _connect(self, parts: SplitResult) -> http.client.HTTPConnection:
        scheme, host, port = _origin(parts)
        proxy = self._proxy(parts)
        secure = scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        if not proxy:
            return kind(host, port, timeout=self._timeout)
        connection = kind(proxy.hostname or "", proxy.port or 3128, timeout=self._timeout)
        if secure:
            connection.set_tunnel(host, port, headers=_proxy_auth(proxy))
        return connection

    def _proxy(self, parts: SplitResult) -> SplitResult | None:
        proxy = self._proxies.get(parts.scheme)
        if not proxy or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
            return None
        return urlsplit(proxy if "://" in proxy else f"http://{proxy}")

    def _body(self, response: http.client.HTTPResponse, parts: SplitResult, start: int) -> Body:
        status, host = response.status, parts.hostname
        length = response.length
        if status == 200:
            return Body(0, length, length, self._chunks(response, parts))
        if status == 206:
            found = re.match(
                r"bytes (\d+)-(\d+)/(\d+|\*)", response.getheader("Content-Range") or ""
            )
            if found and int(found[1]) == start:
                total = None if found[3] == "*" else int(found[3])
                return Body(start, int(found[2]) + 1, total, self._chunks(response, parts))
            self._drop(_origin(parts))
            raise SourceFailure(
                f"{host} answers with another byte range than asked for: use another source"
            )
        self._drop(_origin(parts))
        if status == 416:
            # Asked for what follows the last byte: nothing is missing.
            if (response.getheader("Content-Range") or "").endswith(f"/{start}"):
                return Body(start, start, start, _nothing())
            raise RangeRefused(f"{host} {REFUSALS[status]}")
        if status in TEMPORARY or status >= 500:
            raise Interrupted(
                f"{host} answers {status} {response.reason}",
                _retry_after(response),
                busy=status in (429, 503),
            )
        raise SourceFailure(
            f"{host} {REFUSALS.get(status, f'refuses ({status} {response.reason})')}"
        )

    def _chunks(
        self, response: http.client.HTTPResponse, parts: SplitResult
    ) -> Generator[bytes, None, None]:
        complete = False
        try:
            while data := response.read1(CHUNK):
                yield data
            if response.length:
                raise Interrupted(
                    f"{parts.hostname}: the connection ended {response.length} bytes early"
                )
            complete = True
        except (http.client.HTTPException, OSError) as error:
            raise Interrupted(f"{parts.hostname}: {_reason(error, self._timeout)}") from error
        finally:
            response.close()
            if not complete:
                self._drop(_origin(parts))

    def _discard(self, response: http.client.HTTPResponse, parts: SplitResult) -> None:
        """Read the rest of a response if it is short, to keep the connection; else drop it."""
        try:
            if response.length is not None and response.length <= CHUNK:
                response.read()
                return
        except (http.client.HTTPException, OSError):
            pass
        self._drop(_origin(parts))

    def _drop(self, origin: Origin) -> None:
        connection = self._connections.pop(origin, None)
        if connection:
            with contextlib.suppress(OSError):
                connection.close()


def _nothing() -> Generator[bytes, None, None]:
    yield from ()


def _origin(parts: SplitResult) -> Origin:
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SourceFailure(
            f"not an http or https address: {parts.scheme}://{parts.hostname or ''}"
        )
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _proxy_auth(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _retry_after(response: http.client.HTTPResponse) -> float:
    value = response.getheader("Retry-After") or ""
    if value.strip().isdigit():
        return float(value)
    try:
        # Counted from the server's own time of day: ours may be wrong.
        until = email.utils.parsedate_to_datetime(value)
        now = email.utils.parsedate_to_datetime(response.getheader("Date") or "")
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _reason(error: BaseException, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no bytes for {timeout:.0f} s"
    return f"{type(error).__name__} {error}".strip()
