"""A reload that cannot succeed changes nothing, and one that can replaces the workers without a gap.

gunicorn itself reads its configuration first and asks later, and tells the old workers to leave while
the new ones still import the app: a mistake in either ends the master, and with it every session.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any, NoReturn

from production.process.configuration import read_settings, worker_class_for
from production.refusal import ConfigurationError

PAUSE = 0.05
"""Seconds between two looks whether the new workers are there."""

ENDINGS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
"""Signals by which gunicorn ends, see its documentation of signal handling."""


class StartFailed(Exception):
    """A new worker ended, or was not there in time, or the service is to end."""


def guard_reload(arbiter: Any) -> None:
    """Try what a reload brings before anything is given up for it; for gunicorn's hook ``on_starting``.

    :param arbiter: gunicorn's master.
    """
    reload, manage_workers = arbiter.reload, arbiter.manage_workers

    def guarded_reload() -> None:
        try:
            worker_class_for(read_settings())
        except ConfigurationError as refusal:
            arbiter.log.error("Nothing was reloaded. %s", refusal.message)
            return
        except SystemExit:
            arbiter.log.error("Nothing was reloaded: the settings are refused, as said above.")
            return
        app, environment, count = {**vars(arbiter.app)}, {**os.environ}, arbiter.num_workers
        youngest = arbiter.worker_age

        def manage_workers_once_the_new_ones_are_there() -> None:
            arbiter.manage_workers = manage_workers
            await_start(arbiter, youngest)
            stop_welcoming(arbiter, youngest)
            manage_workers()

        # Called by gunicorn when it has started the new workers, to dismiss the old ones.
        arbiter.manage_workers = manage_workers_once_the_new_ones_are_there
        arbiter.reloading = True
        try:
            reload()
        except StartFailed as failure:
            # Were it more now, workers of the new code would be started all the same.
            arbiter.num_workers = count
            arbiter.log.error("The workers were not replaced, and serve on: %s", failure)
        except SystemExit:
            # A new worker, forked in there, ends by it as well.
            if os.getpid() != arbiter.pid:
                raise
            vars(arbiter.app).update(app)
            os.environ.update(environment)
            arbiter.log.error("Nothing was reloaded: the configuration could not be read again.")
        finally:
            arbiter.manage_workers = manage_workers
            arbiter.reloading = False

    arbiter.reload = guarded_reload
    arbiter.reloading = False


def tell_if_awaited(arbiter: Any, worker: Any) -> None:
    """Tell a new worker whether a reload waits for it; gunicorn's hook ``pre_fork``.

    :param arbiter: gunicorn's master, which is guarded by :func:`guard_reload`.
    :param worker: the worker, of which ``awaited`` is set.
    """
    worker.awaited = arbiter.reloading


def await_start(arbiter: Any, youngest: int) -> None:
    """Wait until the workers that a reload has started take sessions.

    :param arbiter: gunicorn's master.
    :param youngest: gunicorn's number of the youngest worker from before.
    :raises StartFailed: if one did not start; none of them is left then.
    """
    started = {pid: worker for pid, worker in arbiter.WORKERS.items() if worker.age > youngest}
    missing = len(started)
    deadline = time.monotonic() + arbiter.timeout
    while missing:
        time.sleep(PAUSE)
        ended = [pid for pid in started if os.waitpid(pid, os.WNOHANG)[0]]
        for pid in ended:
            del started[pid]
            _forget(arbiter, pid)
        if ended:
            _give_up(arbiter, started, "a new one could not start, as said above.")
        if time.monotonic() >= deadline:
            _give_up(arbiter, started, f"no new one had started after {arbiter.timeout} s.")
        if _is_told_to_end(arbiter):
            _give_up(arbiter, started, "the service is told to end.")
        still_missing = sum(not _is_there(arbiter, worker) for worker in started.values())
        if still_missing < missing:
            missing = still_missing
            deadline = time.monotonic() + arbiter.timeout


def stop_welcoming(arbiter: Any, youngest: int) -> None:
    """Send new sessions to the new workers only.

    Before the first of the old ones leaves: its clients would come back to those that leave next.

    :param arbiter: gunicorn's master.
    :param youngest: gunicorn's number of the youngest of the old workers.
    """
    for worker in arbiter.WORKERS.values():
        if worker.age <= youngest and worker.slot is not None:
            arbiter.switchboard.stop_welcoming(worker.slot)


def _is_told_to_end(arbiter: Any) -> bool:
    """Look through the signals that wait for gunicorn, and leave them to it."""
    waiting = [arbiter.SIG_QUEUE.get_nowait() for _ in range(arbiter.SIG_QUEUE.qsize())]
    for number in waiting:
        arbiter.SIG_QUEUE.put_nowait(number)
    return not ENDINGS.isdisjoint(waiting)


def _is_there(arbiter: Any, worker: Any) -> bool:
    return worker.slot is None or arbiter.switchboard.age(worker.slot) == worker.age


def _give_up(arbiter: Any, workers: dict[int, Any], reason: str) -> NoReturn:
    """End new workers before gunicorn finds that there are too many, and dismisses the old ones."""
    for pid, worker in workers.items():
        # One that serves already has clients, which it shall send back.
        os.kill(pid, signal.SIGTERM if _is_there(arbiter, worker) else signal.SIGKILL)
    for pid in workers:
        os.waitpid(pid, 0)
        _forget(arbiter, pid)
    raise StartFailed(reason)


def _forget(arbiter: Any, pid: int) -> None:
    """Do what gunicorn does with a worker that has ended, other than giving up for its sake."""
    worker = arbiter.WORKERS.pop(pid)
    worker.tmp.close()
    arbiter.cfg.child_exit(arbiter, worker)
