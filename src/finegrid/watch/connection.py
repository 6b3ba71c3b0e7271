"""One connection to `finegrid watch`. It has its time: who sends half a request does not hold it for ever."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 600  # at once; a process may have 1,024 files open where nobody has raised that
REQUEST_SECONDS = 10.0  # from the connection, or from the last answer, to the end of a request
ANSWER_SECONDS = 300.0  # to make a page on a busy machine, and to be read


class Connection(H11Protocol):
    """uvicorn limits the time between requests alone, and forgets that with the first byte of the next."""

    request_seconds = REQUEST_SECONDS
    most = MOST_CONNECTIONS
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
        else:
            self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._expect_request()

    def _expect_request(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self.request_seconds, self._expire, False)

    def _expire(self, answered_long: bool) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and not answered_long:
            self._timer = self.loop.call_later(ANSWER_SECONDS, self._expire, True)
        else:
            self.transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
