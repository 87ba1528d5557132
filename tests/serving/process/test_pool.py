"""The threads behind the event loop: order, errors, time limits, and the end."""

import asyncio
import threading
import weakref

import pytest
from waiting import PATIENCE, until

from serving.process.pool import Pool


@pytest.fixture
def pool():
    made = Pool(2)
    yield made
    made.shutdown()


def test_calls_run_in_its_threads_and_give_their_results(pool):
    async def main():
        calls = [lambda n=n: (n, threading.current_thread().name) for n in range(20)]
        return await asyncio.gather(*(pool.run(call, PATIENCE) for call in calls))

    found = asyncio.run(main())
    assert [number for number, _ in found] == list(range(20))
    assert {name for _, name in found} <= {"protohead_0", "protohead_1"}


def test_an_exception_is_raised_where_the_call_was_given(pool):
    async def main():
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 // 0, PATIENCE)
        return await pool.run(lambda: "the thread goes on", PATIENCE)

    assert asyncio.run(main()) == "the thread goes on"


def test_a_call_that_takes_too_long_is_given_up(pool):
    end = threading.Event()

    async def main():
        with pytest.raises(TimeoutError):
            await pool.run(end.wait, 0.01)
        end.set()
        return await pool.run(lambda: "later", PATIENCE)

    assert asyncio.run(main()) == "later"


def test_a_call_that_nobody_waits_for_any_more_is_not_begun():
    pool, end, begun = Pool(1), threading.Event(), []

    async def main():
        first = asyncio.create_task(pool.run(end.wait, PATIENCE))
        await asyncio.sleep(0)  # lets it give its call
        with pytest.raises(TimeoutError):
            await pool.run(lambda: begun.append("second"), 0.01)
        cancelled = asyncio.create_task(pool.run(lambda: begun.append("third"), PATIENCE))
        await asyncio.sleep(0)
        cancelled.cancel()
        end.set()
        await first
        await pool.run(lambda: begun.append("fourth"), PATIENCE)

    asyncio.run(main())
    pool.shutdown()
    assert begun == ["fourth"]


def test_an_idle_thread_keeps_no_answer():
    class Answer:
        pass

    pool = Pool(1)

    async def main():
        return weakref.ref(await pool.run(Answer, PATIENCE))

    kept = asyncio.run(main())
    until(lambda: kept() is None)  # the thread lets go just after the event loop has been told
    pool.shutdown()


def test_shutdown_finishes_what_was_given_though_the_loop_is_gone():
    pool, end, done = Pool(1), threading.Event(), []

    async def main():
        given = [pool.run(end.wait, PATIENCE), pool.run(lambda: done.append("not begun"), PATIENCE)]
        tasks = [asyncio.create_task(call) for call in given]
        await asyncio.sleep(0)  # lets them give their calls
        return tasks

    asyncio.run(main())  # closes the loop, and cancels what waits in it
    end.set()
    pool.shutdown()
    assert not done
    assert not any(thread.is_alive() for thread in pool._threads)


def test_a_pool_is_stuck_while_every_thread_is_at_one_call_for_too_long(pool):
    end = threading.Event()

    async def main():
        assert not pool.is_stuck(0)
        one = asyncio.create_task(pool.run(lambda: end.wait(PATIENCE), PATIENCE))
        await asyncio.sleep(0.02)
        assert not pool.is_stuck(0.01)  # the other thread takes work
        two = asyncio.create_task(pool.run(lambda: end.wait(PATIENCE), PATIENCE))
        await until_async(lambda: pool.is_stuck(0.01))
        assert not pool.is_stuck(PATIENCE)
        end.set()
        await asyncio.gather(one, two)
        assert not pool.is_stuck(0)

    asyncio.run(main())


async def until_async(holds):
    """Wait without holding up the loop."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)
