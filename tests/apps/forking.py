"""The generated service, whose handlers start processes in each way that Python has."""

from __future__ import annotations

import multiprocessing
import os
import pty
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from live_board import create_app
from live_board.extensions import socketio

JOB_TIME = 0.3


def work(path: str) -> None:
    """Do something that takes its time, and leave a trace of it."""
    time.sleep(JOB_TIME)
    Path(path).write_text(str(os.getpid()))


def work_until_told(path: str) -> None:
    """Do something that takes as long as somebody wants."""
    Path(path).write_text(str(os.getpid()))
    signal.pause()


def tell(path: str) -> None:
    """Emit from a process of one's own."""
    socketio.emit("told", {"by": "a fork"})
    Path(path).write_text(str(os.getpid()))


def start(method: str, target: Any, path: str) -> BaseProcess:
    process = multiprocessing.get_context(method).Process(target=target, args=(path,))
    process.start()
    return process


def check_exit(child: int, expected: int) -> None:
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == expected, status


def by_multiprocessing(method: str, path: str) -> None:
    process = start(method, work, path)
    process.join()
    assert process.exitcode == 0, process.exitcode


def by_fork(path: str) -> None:
    child = os.fork()
    if child == 0:
        work(path)
        os._exit(7)
    check_exit(child, 7)


def by_fork_that_returns(path: str) -> str:
    child = os.fork()
    if child == 0:
        work(path)
        return "an answer of the wrong process"
    os.waitpid(child, 0)
    return ""


def by_fork_that_exits(path: str) -> None:
    child = os.fork()
    if child == 0:
        work(path)
        sys.exit(3)
    check_exit(child, 3)


def by_pty(path: str) -> None:
    """Do as terminals in a browser do."""
    child, terminal = pty.fork()
    if child == 0:
        subprocess.run([sys.executable, "-c", f"open({path!r}, 'w').write('1')"], check=True)
        return
    os.waitpid(child, 0)
    os.close(terminal)


def command(path: str) -> list[str]:
    script = f"import time; time.sleep({JOB_TIME}); open({path!r}, 'w').write('1'); print('done')"
    return [sys.executable, "-c", script]


def by_command(path: str) -> None:
    run = subprocess.run(command(path), capture_output=True, text=True, check=True)
    assert run.stdout == "done\n"


def by_output(path: str) -> None:
    assert subprocess.check_output(command(path), text=True) == "done\n"


def by_executor(path: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as executor:
        executor.submit(work, path).result()


WAYS = {
    "ProcessPoolExecutor": by_executor,
    "fork": lambda path: by_multiprocessing("fork", path),
    "forkserver": lambda path: by_multiprocessing("forkserver", path),
    "spawn": lambda path: by_multiprocessing("spawn", path),
    "os.fork": by_fork,
    "os.fork that returns": by_fork_that_returns,
    "os.fork that exits": by_fork_that_exits,
    "pty.fork": by_pty,
    "subprocess.run": by_command,
    "subprocess.check_output": by_output,
}


@socketio.on("start")
def start_and_await(way: str, path: str) -> Any:
    return WAYS[way](path)


@socketio.on("start threads")
def start_threads() -> list[int]:
    with ThreadPoolExecutor(2) as executor:
        return list(executor.map(abs, (-1, -2, -3)))


@socketio.on("leave running")
def leave_running(path: str) -> None:
    start("fork", work_until_told, path)


@socketio.on("tell")
def tell_all(path: str) -> None:
    start("fork", tell, path).join()


app = create_app()


@app.get("/start/<way>")
def start_over_http(way: str) -> str:
    from flask import request

    WAYS[way](request.args["path"])
    return "done"
