"""Threads that compute for the event loop.

``concurrent.futures`` makes a future, a condition and a chain of callbacks for each call on top of
the event loop's own future, and ``asyncio.timeout`` a timer and a context: beside a small network
that is as much as the guard costs. Here a call is one future of the event loop and one timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")


class Pool:
    """A fixed number of threads, which take calls in the order they came.

    Args:
        threads: How many; each is started at once.
    """

    def __init__(self, threads: int) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._begun: list[float | None] = [None] * threads
        self._threads = [
            threading.Thread(
                target=self._work, args=(number,), name=f"protohead_{number}", daemon=True
            )
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, call: Callable[[], Result], seconds: float) -> Result:
        """Run a call in a thread.

        Args:
            call: What to run; its exception is raised here.
            seconds: How long to wait for it. A call that nobody waits for any more is not begun;
                one that has begun goes on.

        Raises:
            TimeoutError: It did not end in time.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        limit = loop.call_later(seconds, _fail, future, TimeoutError())
        try:
            self._calls.put(_Call(call, future))
            return await future
        finally:
            limit.cancel()

    def is_stuck(self, seconds: float) -> bool:
        """Whether every thread has been at one call for longer than this: none takes another."""
        latest = time.monotonic() - seconds
        return all(begun is not None and begun < latest for begun in self._begun)

    def shutdown(self) -> None:
        """Finish what was given, then end the threads."""
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        while call := self._calls.get():
            self._begun[number] = time.monotonic()
            call.run()
            self._begun[number] = None
            del call  # it holds an answer, and the next one may be long in coming


class _Call:
    """What to run, and the future that waits for it."""

    __slots__ = ("_call", "_future")

    def __init__(self, call: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        self._call = call
        self._future = future

    def run(self) -> None:
        if self._future.done():
            return
        settle: Callable[[asyncio.Future[Any], Any], None] = _succeed
        try:
            result = self._call()
        except Exception as error:
            settle, result = _fail, error
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits
            self._future.get_loop().call_soon_threadsafe(settle, self._future, result)


def _succeed(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
