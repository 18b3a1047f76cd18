"""Calls of a library that works in another mode only, found in the modules that are loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from production.adopt.other_modes import check_calls
from production.modes import AsyncMode
from production.refusal import ConfigurationError

Load = Callable[..., None]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Pretend that a module of the app is loaded, and the libraries that it imports."""

    def pretend(text: str) -> None:
        path = tmp_path / "program.py"
        path.write_text(text)
        module = ModuleType("program")
        module.__file__ = str(path)
        for name, loaded in (("program", module), ("eventlet", None), ("gevent", None)):
            monkeypatch.setitem(sys.modules, name, loaded or ModuleType(name))

    return pretend


@pytest.mark.parametrize(
    "text",
    [
        "import eventlet\neventlet.spawn(print)\n",
        "from eventlet import sleep as nap\nnap(1)\n",
        "from eventlet.green import socket\nsocket.create_connection(())\n",
    ],
)
@pytest.mark.parametrize("mode", [AsyncMode.GEVENT, AsyncMode.THREADING])
def test_a_call_for_another_mode_is_named(load: Load, text: str, mode: AsyncMode) -> None:
    load(text)
    with pytest.raises(ConfigurationError, match=r"program\.py:2, which works where eventlet"):
        check_calls(mode)
    check_calls(AsyncMode.EVENTLET)


def test_a_class_made_of_one_of_the_library_s_is_named(load: Load) -> None:
    load("from gevent import Greenlet\nclass Pusher(Greenlet):\n    pass\n")
    with pytest.raises(ConfigurationError, match=r"gevent\.Greenlet in .*program\.py:2"):
        check_calls(AsyncMode.THREADING)


@pytest.mark.parametrize(
    "text",
    [
        "import eventlet\neventlet.monkey_patch()\neventlet.wsgi.server(eventlet.listen(()), 1)\n",
        "from gevent import monkey; monkey.patch_all()\nfrom gevent.pywsgi import WSGIServer\nWSGIServer()\n",
        "import eventlet, gevent\nsleep = eventlet.sleep(0) if green else gevent.sleep(0)\n",
        "try:\n    import eventlet\nexcept ImportError:\n    pass\n",
        "import eventlet\nnot python\n",
    ],
    ids=["its own server", "gevent's server", "both", "a look", "no Python"],
)
def test_what_does_no_harm(load: Load, text: str) -> None:
    load(text)
    for mode in AsyncMode:
        check_calls(mode)
