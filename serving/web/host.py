"""The running application behind the routes: the model, its limits and its worker threads."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import zlib
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

from serving.answers.answerer import Answerer
from serving.answers.problems import ProblemError, busy, too_long
from serving.model.predictor import Predictor
from serving.process import metrics, traces
from serving.process.account import Names
from serving.process.audit import Audit
from serving.process.live import Live, Served
from serving.process.pool import Pool
from serving.process.settings import Settings
from serving.web.packing import ENCODINGS, unpack

Answer = TypeVar("Answer")
_log = logging.getLogger("protohead")


class Host:
    """What routes need; started and stopped with the application.

    Args:
        settings: Path of the artifact, limits, provider.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._live: Live | None = None
        self._stop = threading.Event()
        self._pool = Pool(settings.calls_at_once)
        self._audit: Audit | None = None
        self._analyses = 0

    def start(self) -> None:
        """Load the artifact and watch its path.

        Raises:
            ArtifactError: It cannot be served, or the audit record cannot be written.
        """
        settings = self.settings
        if settings.audit:
            self._audit = Audit(settings.audit, settings.audit_size)
        live = Live(settings)
        self._live = live
        if self.settings.reload:
            threading.Thread(target=live.watch, args=(self._stop,), daemon=True).start()

    def stop(self) -> None:
        """Finish what runs, and watch no longer."""
        self._stop.set()
        self._pool.shutdown()
        if self._audit:
            self._audit.close()

    @property
    def served(self) -> Served:
        """The model that answers now; another one after a swap. Take it once a request."""
        if self._live is None:
            raise ProblemError("unavailable", "The server is starting. Try again soon.")
        return self._live.current

    def require_ready(self) -> None:
        """Raise where a request would wait in vain.

        Raises:
            ProblemError: The model is still loaded, or calls that nobody waits for any more hold
                every thread.
        """
        _ = self.served
        if self._pool.is_stuck(self.settings.timeout):
            raise ProblemError(
                "unavailable", "Every thread is at work that is too long. Try again later."
            )

    def is_ready(self) -> bool:
        """Whether a request would be answered."""
        try:
            self.require_ready()
        except ProblemError:
            return False
        return True

    @property
    def predictor(self) -> Predictor:
        """The predictor of the model that answers now."""
        return self.served.predictor

    @property
    def max_images(self) -> int:
        """Images that one request may hold."""
        return self.settings.max_images

    def answerer(self, prefix: str = "") -> Answerer:
        """Answers by the model that answers now, from now on within the time limit.

        Args:
            prefix: Of a proxy, before the path of every link.
        """
        settings = self.settings
        return Answerer(
            self.served,
            settings.max_pixels,
            settings.max_classes,
            settings.max_drawn,
            time.monotonic() + settings.timeout,
            metrics.observe_answer,
            prefix,
            None if self._audit is None else [],
        )

    def answerer_named(self, name: str, prefix: str = "") -> Answerer:
        """Answers by the model of a name, which clients of protocols put in the path.

        Raises:
            ProblemError: Another model is served.
        """
        answerer = self.answerer(prefix)
        served = answerer.served.name
        if name != served:
            raise ProblemError("unknown-path", f"expected the model {served!r}, got {name[:80]!r}.")
        return answerer

    async def read(self, request: Request) -> bytes:
        """Take in the body of a request.

        Raises:
            ProblemError: It is longer than allowed, or comes too slowly.
        """
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared[:20]) > self.settings.max_body:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.settings.timeout):
                more = True
                while more:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ProblemError("malformed", "The client went away within the body.")
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > self.settings.max_body:
                        raise self._too_large()
                    more = message.get("more_body", False)
        except TimeoutError as error:
            raise ProblemError(
                "slow", f"expected the whole body within {self.settings.timeout:g} s."
            ) from error
        return await self._unpacked(
            b"".join(chunks), request.headers.get("content-encoding", "identity").lower()
        )

    async def _unpacked(self, body: bytes, encoding: str) -> bytes:
        """A body as it was before the client packed it; not larger than one that is not packed."""
        if encoding == "identity":
            return body
        if encoding not in ENCODINGS:
            raise ProblemError(
                "media-type",
                f"expected a body in gzip or deflate, got {encoding[:40]!r}.",
            )
        most = self.settings.max_body
        try:
            found = await self.work(lambda: unpack(body, encoding, most))
        except zlib.error as error:
            raise ProblemError("malformed", f"expected a body in {encoding}: {error}.") from error
        if len(found) > most:
            raise self._too_large()
        return found

    def _too_large(self) -> ProblemError:
        return ProblemError(
            "too-large", f"expected a body of at most {self.settings.max_body} bytes."
        )

    async def analyse(self, answerer: Answerer, names: Names, call: Callable[[], Answer]) -> Answer:
        """Run an analysis of images, of which a worker takes only so many in hand.

        Args:
            answerer: Who answers.
            names: Of the request, for the audit record.
            call: The analysis, by that answerer.

        Raises:
            ProblemError: There are as many as allowed, it does not end in time, or it cannot be
                put on record.
        """
        if self._analyses >= self.settings.concurrency:
            raise busy(self._analyses)
        self._analyses += 1
        try:
            with traces.step("analyse"):
                return await self.work(lambda: self._on_record(answerer, names, call))
        finally:
            self._analyses -= 1

    def _on_record(self, answerer: Answerer, names: Names, call: Callable[[], Answer]) -> Answer:
        answer = call()
        if self._audit and answerer.records:
            now = round(time.time(), 3)
            heading = {"audit": 1, "time": now, "id": names.request, "trace": names.trace}
            try:
                self._audit.write([heading | record for record in answerer.records])
            except OSError as error:
                _log.error("no answers until the audit record can be written: %s", error)
                raise ProblemError(
                    "unavailable", "The answer cannot be put on record. Try again later."
                ) from error
        return answer

    async def work(self, call: Callable[[], Answer]) -> Answer:
        """Run a call in the bounded pool of threads.

        Raises:
            ProblemError: It does not end in time.
        """
        try:
            return await self._pool.run(call, self.settings.timeout)
        except TimeoutError as error:
            raise too_long() from error
