"""For each check: the smallest project that it finds fault with, and one that it must not.

``docs/checks.md`` shows the first file of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Files = dict[str, str]

IMPORTS = (
    "from flask import Flask\nfrom flask_socketio import SocketIO, emit\n\napp = Flask(__name__)\n"
)
APP = IMPORTS + 'socketio = SocketIO(app, async_mode="threading")\n'


@dataclass(frozen=True)
class Case:
    """A fault and its absence.

    :param quote: what stands in the line that is found.
    :param wrong: the part of the file that shows the fault.
    :param right: the same without the fault.
    :param file: the file that both are about.
    :param around: what comes before them in that file.
    :param others: the other files of both projects.
    :param more_right: further projects without the fault, as the contents of ``file``.
    """

    quote: str
    wrong: str
    right: str
    file: str = "app.py"
    around: str = APP
    others: Files = field(default_factory=dict)
    more_right: tuple[str, ...] = ()

    @property
    def bad(self) -> Files:
        """The project with the fault."""
        return {**self.others, self.file: self.around + self.wrong}

    @property
    def good(self) -> list[Files]:
        """The projects without it."""
        return [
            {**self.others, self.file: self.around + text}
            for text in (self.right, *self.more_right)
        ]


def option(wrong: str, right: str = "", *more: str, **others: str) -> Case:
    """A case about one option of SocketIO."""

    def made(text: str) -> str:
        return f"socketio = SocketIO(app, {text})\n" if text else "socketio = SocketIO(app)\n"

    files = {name.replace("__", "."): text for name, text in others.items()}
    return Case(
        wrong,
        made(wrong),
        made(right),
        around=IMPORTS,
        others=files,
        more_right=tuple(map(made, more)),
    )


def nginx(wrong: str, right: str, quote: str, listen: str = "80") -> Case:
    """A case about the location that nginx passes on."""

    def conf(text: str) -> str:
        return f"server {{\n    listen {listen};\n    location / {{\n{text}    }}\n}}\n"

    return Case(
        quote, conf(wrong), conf(right), "deploy/nginx.conf", around="", others={"app.py": APP}
    )


def gunicorn(wrong: str, right: str, quote: str = "", *more: str, **others: str) -> Case:
    """A case about gunicorn's command line, in a Procfile."""
    files = {"app.py": APP} | {name.replace("__", "."): text for name, text in others.items()}
    return Case(
        quote or wrong,
        f"web: gunicorn {wrong} app:app\n",
        f"web: gunicorn {right} app:app\n",
        "Procfile",
        around="",
        others=files,
        more_right=tuple(f"web: gunicorn {text} app:app\n" for text in more),
    )


def requirement(wrong: str, right: str, *more: str, others: str = "") -> Case:
    """A case about one line of a requirements file."""
    return Case(
        wrong.splitlines()[0],
        f"{wrong}\n",
        f"{right}\n",
        "requirements.txt",
        around=others,
        others={"app.py": APP},
        more_right=tuple(f"{text}\n" for text in more),
    )


def script(wrong: str, right: str, quote: str = "", *more: str) -> Case:
    """A case about a page's script."""
    return Case(
        quote or wrong.strip(),
        wrong + "\n",
        right + "\n",
        "static/client.js",
        around="",
        others={"app.py": APP},
        more_right=tuple(f"{text}\n" for text in more),
    )


def unit(wrong: str, right: str, quote: str) -> Case:
    """A case about a unit of systemd."""
    start = "[Service]\nExecStart=/srv/app/.venv/bin/gunicorn --threads 100 app:app\n"
    return Case(quote, wrong, right, "deploy/app.service", around=start, others={"app.py": APP})


def layer_unit(wrong: str, right: str, settings: str) -> Case:
    """A case about a unit of systemd that starts the layer, and the service's settings."""
    start = "[Service]\nUser=app\nExecStart=/srv/app/.venv/bin/gunicorn\n"
    layer = {"gunicorn.conf.py": "from production.process.configuration import read_settings\n"}
    return Case(
        wrong.partition("=")[0],
        wrong,
        right,
        "deploy/app.service",
        around=start,
        others={"app.py": APP, "production.toml": settings, **layer},
    )


def handler(body: str, event: str = "join", signature: str = "data") -> str:
    """An event handler."""
    return f'\n\n@socketio.on("{event}")\ndef handle({signature}):\n{body}'


UPGRADE = (
    "        proxy_pass http://127.0.0.1:5000;\n"
    "        proxy_http_version 1.1;\n"
    "        proxy_set_header Upgrade $http_upgrade;\n"
    "        proxy_set_header Connection $connection_upgrade;\n"
)
HOST = "        proxy_set_header Host $http_host;\n"

GREEN = IMPORTS + 'socketio = SocketIO(app, async_mode="eventlet")\n'
PATCHED = "import eventlet\neventlet.monkey_patch()\n"

CASES: dict[str, Case] = {
    "FSP001": Case(
        "import channels",
        "import channels\n",
        "from flask_socketio import SocketIO\nimport channels\n",
        around="",
        more_right=("import django\n",),
    ),
    "FSP101": option("handle_sigterm=False", "ping_interval=25", 'path="/live", json=None'),
    "FSP102": option('cors_allowed_origins="*"', 'cors_allowed_origins=["https://example.org"]'),
    "FSP103": option("always_connect=True", "always_connect=False"),
    "FSP104": option("manage_session=False", "manage_session=True"),
    "FSP105": option("ping_interval=60", "ping_interval=25", "ping_interval=(25, 5)"),
    "FSP106": option("ping_timeout=120", "ping_timeout=60"),
    "FSP107": option("max_http_buffer_size=1e6", "max_http_buffer_size=1_000_000"),
    "FSP108": option(
        "max_http_buffer_size=100 * 1024 * 1024", "max_http_buffer_size=5 * 1024 * 1024"
    ),
    "FSP109": Case(
        "SocketIO(app)",
        "socketio = SocketIO(app)\n",
        'socketio = SocketIO(app, async_mode="gevent")\n',
        around=IMPORTS,
        others={"requirements.txt": "eventlet\ngevent\n"},
    ),
    "FSP110": option('message_queue="valkey://queue:6379"', 'message_queue="kafka://queue"'),
    "FSP111": option('message_queue="redis://queue:6379"', "client_manager=manager"),
    "FSP112": option("engineio_logger=True", "engineio_logger=False", "logger=log"),
    "FSP113": option("monitor_clients=False", "monitor_clients=True"),
    "FSP114": Case(
        "supports_credentials=True",
        "from flask_cors import CORS\n\nCORS(app, supports_credentials=True)\n",
        'from flask_cors import CORS\n\nCORS(app, origins=["https://example.org"],'
        " supports_credentials=True)\n",
        more_right=("from flask_cors import CORS\n\nCORS(app)\n",),
    ),
    "FSP201": Case(
        "allow_unsafe_werkzeug=True",
        'if __name__ == "__main__":\n    socketio.run(app, allow_unsafe_werkzeug=True)\n',
        'if __name__ == "__main__":\n    socketio.run(app)\n',
    ),
    "FSP202": Case(
        "socketio.run(app)",
        "socketio.run(app)\n",
        'if __name__ == "__main__":\n    socketio.run(app)\n',
        more_right=("\n\ndef main():\n    socketio.run(app)\n",),
    ),
    "FSP203": Case(
        "app.run()",
        'if __name__ == "__main__":\n    app.run()\n',
        'if __name__ == "__main__":\n    socketio.run(app)\n',
    ),
    "FSP204": Case(
        "debug=True",
        'if __name__ == "__main__":\n    socketio.run(app, debug=True)\n',
        'if __name__ == "__main__":\n    socketio.run(app, debug=False)\n',
    ),
    "FSP205": Case(
        'DEBUG = os.environ.get("DEBUG", "true") == "true"',
        'import os\n\nDEBUG = os.environ.get("DEBUG", "true") == "true"\n'
        'if __name__ == "__main__":\n    socketio.run(app, debug=DEBUG)\n',
        'import os\n\nDEBUG = os.environ.get("DEBUG") == "true"\n'
        'if __name__ == "__main__":\n    socketio.run(app, debug=DEBUG)\n',
    ),
    "FSP206": Case(
        "use_reloader=True",
        'if __name__ == "__main__":\n    socketio.run(app, use_reloader=True)\n',
        'if __name__ == "__main__":\n    socketio.run(app, use_reloader=False)\n',
    ),
    "FSP207": Case(
        "serve(app)",
        'from waitress import serve\n\nif __name__ == "__main__":\n    serve(app)\n',
        'if __name__ == "__main__":\n    socketio.run(app)\n',
    ),
    "FSP301": Case(
        "users = {}",
        "users = {}\n" + handler('    users[data["name"]] = data\n'),
        "users = {}\n" + handler("    return users.get(data)\n"),
        more_right=(
            "users = {}\n" + handler("    users = {}\n    users[data] = 1\n    return users\n"),
            "handlers = {}\n\n\ndef register(name):\n    handlers[name] = 1\n\n\nregister('a')\n",
        ),
    ),
    "FSP302": Case(
        "count = 0",
        "count = 0\n" + handler("    global count\n    count += 1\n"),
        "count = 0\n" + handler("    return count\n"),
    ),
    "FSP303": Case(
        "self.members = {}",
        "\n\nclass Rooms:\n    def __init__(self):\n        self.members = {}\n\n"
        "    def enter(self, name):\n        self.members[name] = 1\n\n\nrooms = Rooms()\n"
        + handler("    rooms.enter(data)\n"),
        "\n\nclass Rooms:\n    def __init__(self):\n        self.members = {}\n\n"
        "    def enter(self, name):\n        return name in self.members\n\n\nrooms = Rooms()\n"
        + handler("    rooms.enter(data)\n"),
        more_right=(
            "\n\nclass Rooms:\n    def __init__(self):\n        self.members = {}\n\n"
            "    def enter(self, name):\n        self.members[name] = 1\n"
            + handler("    Rooms().enter(data)\n"),
        ),
    ),
    "FSP304": Case(
        "os.urandom(24)",
        'import os\n\napp.config["SECRET_KEY"] = os.urandom(24)\n',
        'import os\n\napp.config["SECRET_KEY"] = os.environ["SECRET_KEY"]\n',
    ),
    "FSP305": Case(
        'app.config["SECRET_KEY"]',
        'app.config["SECRET_KEY"] = "hunter2"\n',
        'import os\n\napp.config["SECRET_KEY"] = os.environ["SECRET_KEY"]\n',
        more_right=('import os\n\napp.secret_key = os.environ.get("SECRET_KEY")\n',),
    ),
    "FSP306": Case(
        'app.config["SESSION_TYPE"] = "filesystem"',
        'app.config["SESSION_TYPE"] = "filesystem"\n',
        'app.config["SESSION_TYPE"] = "redis"\n',
    ),
    "FSP307": Case(
        "socketio.start_background_task(tick)",
        "\n\ndef tick():\n    socketio.emit('tick')\n\n\nsocketio.start_background_task(tick)\n",
        "\n\ndef tick():\n    socketio.emit('tick')\n\n\n"
        'if __name__ == "__main__":\n    socketio.start_background_task(tick)\n',
    ),
    "FSP308": Case(
        "thread = socketio.start_background_task(tick)",
        "thread = None\n\n\ndef tick():\n    socketio.emit('tick')\n"
        + handler(
            "    global thread\n    if thread is None:\n"
            "        thread = socketio.start_background_task(tick)\n",
            "connect",
            "auth=None",
        ),
        "\n\ndef job(data):\n    socketio.emit('done')\n"
        + handler("    socketio.start_background_task(job, data)\n"),
    ),
    "FSP309": Case(
        "listener.bind",
        'import socket\n\nlistener = socket.socket()\nlistener.bind(("0.0.0.0", 9000))\n',
        'import socket\n\nlistener = socket.socket()\nlistener.bind(("127.0.0.1", 0))\n',
    ),
    "FSP310": Case(
        "redis.flushall()",
        "from redis import Redis\n\nredis = Redis()\nredis.flushall()\n",
        "from redis import Redis\n\nredis = Redis()\n\n\ndef reset():\n    redis.flushall()\n",
    ),
    "FSP311": Case(
        "subprocess.Popen",
        'import subprocess\n\nsubprocess.Popen(["celery", "worker"])\n',
        'import subprocess\n\nif __name__ == "__main__":\n    subprocess.Popen(["celery", "worker"])\n',
        more_right=(
            'import subprocess\n\nsubprocess.run(["git", "describe"])\n',
            'import subprocess\n\nsubprocess.Popen(["git", "describe"]).communicate()\n',
            'import os\n\nos.system("npm run build")\n',
        ),
    ),
    "FSP401": Case(
        "def handle():",
        handler("    print('gone')\n", "disconnect", ""),
        handler("    print(reason)\n", "disconnect", "reason=None"),
        more_right=(
            handler("    print('gone')\n", "disconnect", "*args"),
            handler("    print('gone')\n", "disconnect", "").replace(
                "def handle", "@with_reason\ndef handle"
            ),
        ),
    ),
    "FSP402": Case(
        "def handle():",
        handler("    print('gone')\n", "disconnect", ""),
        handler("    print(reason)\n", "disconnect", "reason=None"),
        around=APP + "\n\n@socketio.on_error_default\ndef failed(error):\n    print(error)\n",
    ),
    "FSP403": Case(
        "return",
        handler("    if not is_authenticated(auth):\n        return\n", "connect", "auth=None"),
        handler(
            "    if not is_authenticated(auth):\n        return False\n", "connect", "auth=None"
        ),
        more_right=(handler("    if auth:\n        return\n", "connect", "auth=None"),),
    ),
    "FSP404": Case(
        "return False",
        "\n\n@socketio.on_error_default\ndef failed(error):\n    return False\n",
        '\n\n@socketio.on_error_default\ndef failed(error):\n    return {"ok": False}\n',
    ),
    "FSP405": Case(
        "@app.errorhandler(Exception)",
        '\n\n@app.errorhandler(Exception)\ndef failed(error):\n    return {"error": str(error)}, 500\n',
        "from werkzeug.exceptions import HTTPException\n\n\n@app.errorhandler(HTTPException)\n"
        "def failed(error):\n    return error\n",
        more_right=(
            "from werkzeug.exceptions import HTTPException\n\n\n@app.errorhandler(Exception)\n"
            "def failed(error):\n    if isinstance(error, HTTPException):\n        return error\n"
            '    return "failed", 500\n',
        ),
    ),
    "FSP406": Case(
        'response.headers["Content-Type"]',
        "\n\n@app.after_request\ndef label(response):\n    if response.status_code >= 500:\n"
        '        response.headers["Content-Type"] = "application/json"\n    return response\n',
        "\n\n@app.after_request\ndef label(response):\n"
        '    response.headers["X-Frame-Options"] = "DENY"\n    return response\n',
    ),
    "FSP407": Case(
        'request.path.startswith("/socket.io/")',
        "from flask import request\n\n\n@app.before_request\ndef check():\n"
        '    if request.path.startswith("/socket.io/"):\n        authenticate()\n',
        "from flask import request\n\n\n@app.before_request\ndef check():\n"
        '    if request.path.startswith("/admin/"):\n        authenticate()\n',
    ),
    "FSP408": Case(
        'if "Broken pipe" in str(error)',
        "\n\ndef push(data):\n    try:\n        socketio.emit('x', data)\n"
        "    except OSError as error:\n"
        '        if "Broken pipe" in str(error):\n            return\n        raise\n',
        "\n\ndef push(data):\n    socketio.emit('x', data)\n",
        more_right=('\n\ndef about(text):\n    return "Broken pipe" in text\n',),
    ),
    "FSP409": Case(
        "except Exception",
        handler("    try:\n        save(data)\n    except Exception:\n        pass\n"),
        handler(
            "    try:\n        save(data)\n    except Exception:\n        log.exception('x')\n"
        ),
        more_right=(
            handler("    try:\n        save(data)\n    except KeyError:\n        pass\n"),
            "\n\ndef unrelated():\n    try:\n        save()\n    except Exception:\n        pass\n",
        ),
    ),
    "FSP410": Case(
        'socketio.emit("log", record.getMessage())',
        "import logging\n\n\nclass ToBrowser(logging.Handler):\n    def emit(self, record):\n"
        '        socketio.emit("log", record.getMessage())\n',
        "import logging\n\n\nclass ToBrowser(logging.Handler):\n    def emit(self, record):\n"
        "        queue.put(record)\n",
    ),
    "FSP411": Case(
        'emit("tick")',
        '\n\ndef tick():\n    emit("tick")\n\n\n'
        'if __name__ == "__main__":\n    socketio.start_background_task(tick)\n',
        '\n\ndef tick():\n    socketio.emit("tick")\n\n\n'
        'if __name__ == "__main__":\n    socketio.start_background_task(tick)\n',
    ),
    "FSP412": Case(
        "broadcast=True",
        '\n\ndef push():\n    socketio.emit("x", broadcast=True)\n',
        '\n\ndef push():\n    socketio.emit("x")\n',
        more_right=(handler('    emit("x", broadcast=True)\n'),),
    ),
    "FSP413": Case(
        'room="lobby"',
        '\n\ndef push():\n    socketio.emit("x", room="lobby")\n',
        '\n\ndef push():\n    socketio.emit("x", to="lobby")\n',
    ),
    "FSP414": Case(
        "close_room(request.sid)",
        "from flask import request\nfrom flask_socketio import close_room\n"
        + handler("    close_room(request.sid)\n"),
        "from flask_socketio import close_room\n" + handler("    close_room(data)\n"),
    ),
    "FSP415": Case(
        'requests.get("http://localhost:5000/")',
        'import requests\n\nrequests.get("http://localhost:5000/")\nprint("socket works")\n',
        'import socketio\n\nclient = socketio.Client()\nclient.connect("http://localhost:5000")\n',
        "diagnose.py",
        around="",
        others={"app.py": APP},
    ),
    "FSP501": Case(
        "eventlet.monkey_patch()",
        "import eventlet\neventlet.monkey_patch()\n",
        "",
        around=APP,
        others={"wsgi.py": PATCHED + "from app import app\n"},
    ),
    "FSP502": Case(
        'message_queue="redis://"',
        'socketio = SocketIO(app, async_mode="eventlet", message_queue="redis://")\n',
        'socketio = SocketIO(app, async_mode="threading", message_queue="redis://")\n',
        around=IMPORTS,
    ),
    "FSP503": Case(
        "threading.Thread",
        "import threading\n\n\ndef tick():\n    socketio.emit('tick')\n"
        + handler("    threading.Thread(target=tick).start()\n"),
        "\n\ndef tick():\n    socketio.emit('tick')\n"
        + handler("    socketio.start_background_task(tick)\n"),
        around=GREEN,
    ),
    "FSP504": Case(
        "time.sleep(5)",
        "import time\n" + handler("    time.sleep(5)\n"),
        handler("    socketio.sleep(5)\n"),
        around=GREEN,
        more_right=("import time\n\n\ndef unrelated():\n    time.sleep(5)\n",),
    ),
    "FSP507": Case(
        "multiprocessing.Pool(4)",
        "import multiprocessing\n"
        + handler(
            "    with multiprocessing.Pool(4) as pool:\n        return pool.map(len, data)\n"
        ),
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        + handler(
            '    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:\n'
            "        return list(pool.map(len, data))\n"
        ),
        around=GREEN,
    ),
    "FSP505": Case(
        'socketio.emit("done")',
        "from celery import shared_task\n\nfrom app import socketio\n\n\n@shared_task\n"
        'def work():\n    socketio.emit("done")\n',
        "from celery import shared_task\nfrom flask_socketio import SocketIO\n\n"
        'emitter = SocketIO(message_queue="redis://")\n\n\n@shared_task\n'
        'def work():\n    emitter.emit("done")\n',
        "tasks.py",
        around="",
        others={"app.py": APP},
    ),
    "FSP506": Case(
        "task.is_alive()",
        "task = socketio.start_background_task(print)\n" + handler("    return task.is_alive()\n"),
        "import threading\n\ntask = threading.Thread(target=print)\n"
        + handler("    return task.is_alive()\n"),
    ),
    "FSP601": Case(
        "before_first_request",
        "\n\n@app.before_first_request\ndef prepare():\n    pass\n",
        "\n\n@app.before_request\ndef prepare():\n    pass\n",
        more_right=(
            "try:\n    from flask import escape\nexcept ImportError:\n    from markupsafe import escape\n",
        ),
    ),
    "FSP602": Case(
        "from flask_script import Manager",
        "from flask_script import Manager\n",
        "from flask.cli import FlaskGroup\n",
        more_right=("from flaskext.mysql import MySQL\n",),
    ),
    "FSP603": Case(
        "from jinja2 import escape",
        "from jinja2 import escape\n",
        "from markupsafe import escape\n",
        more_right=(
            "try:\n    from jinja2 import escape\nexcept:\n    from markupsafe import escape\n",
        ),
    ),
    "FSP604": Case(
        "from werkzeug.security import safe_str_cmp",
        "from werkzeug.security import safe_str_cmp\n",
        "from hmac import compare_digest\n",
    ),
    "FSP605": option('async_mode="asyncio"', 'async_mode="gevent"', "async_mode=None"),
    "FSP606": Case(
        "from socketio.namespace import BaseNamespace",
        "from socketio.namespace import BaseNamespace\n",
        "from flask_socketio import Namespace\n",
        more_right=(
            "from socketio import Client\n",
            "def agent(sid):\n    return socketio.server.get_environ(sid)\n",
        ),
    ),
    "FSP701": requirement("Flask-SocketIO==4.3.2", "Flask-SocketIO==5.3.4", "Flask-SocketIO>=4.3"),
    "FSP702": requirement("python-engineio==4.12.3", "python-engineio==4.15.1", "python-engineio"),
    "FSP703": requirement("Flask-SocketIO", "Flask-SocketIO\npython-engineio>=4.15.1"),
    "FSP704": requirement("redis==8.0.0", "redis==8.1.0", "redis>=7", "redis==8.0.1"),
    "FSP705": requirement("python-socketio==5.13.0", "python-socketio>=5.13"),
    "FSP706": requirement(
        "gunicorn>=27", "gunicorn[gevent]>=27", "gunicorn<26", others="gevent>=26.9\n"
    ),
    "FSP707": requirement("gevent-websocket", "simple-websocket"),
    "FSP708": requirement(
        "Flask-SocketIO==5.5.1", "Flask-SocketIO>=5.6.1", others="Flask==3.1.3\n"
    ),
    "FSP709": requirement("Flask-Script", "Flask"),
    "FSP801": gunicorn(
        "-k eventlet",
        "-k gevent",
        "",
        "--worker-class gevent",
    ),
    "FSP802": gunicorn("--workers 4 --threads 100", "--workers 1 --threads 100"),
    "FSP803": gunicorn("--bind 0.0.0.0:8000", "--threads 100", "", "-k gevent"),
    "FSP804": gunicorn("--threads 100 --max-requests 1000", "--threads 100"),
    "FSP805": gunicorn("--threads 100 --preload", "--threads 100"),
    "FSP806": gunicorn("--threads 4", "--threads=100"),
    "FSP807": gunicorn("-k gevent", "--threads 100"),
    "FSP808": Case(
        "CMD gunicorn",
        "CMD gunicorn --threads 100 app:app\n",
        'CMD ["gunicorn", "--threads", "100", "app:app"]\n',
        "Dockerfile",
        around="FROM python:3.13\n",
        others={"app.py": APP},
        more_right=("CMD exec gunicorn --threads 100 app:app\n",),
    ),
    "FSP809": Case(
        "python",
        'CMD ["python", "app.py"]\n',
        'CMD ["gunicorn", "--threads", "100", "app:app"]\n',
        "Dockerfile",
        around="FROM python:3.13\n",
        others={
            "app.py": APP + 'if __name__ == "__main__":\n    socketio.run(app)\n',
            "worker.py": "print('no server')\n",
        },
        more_right=('CMD ["python", "worker.py"]\n',),
    ),
    "FSP810": Case(
        "HEALTHCHECK",
        "HEALTHCHECK CMD curl -f http://localhost:5000/ || exit 1\n",
        "HEALTHCHECK CMD curl -f http://localhost:5000/health/ready || exit 1\n",
        "Dockerfile",
        around="FROM python:3.13\n",
        others={"app.py": APP},
    ),
    "FSP811": unit("", "User=app\n", "ExecStart"),
    "FSP812": unit(
        "User=app\nTimeoutStopSec=10\n", "User=app\nTimeoutStopSec=40\n", "TimeoutStopSec"
    ),
    "FSP813": unit("User=app\nProtectHome=yes\n", "User=app\n", "ProtectHome"),
    "FSP814": layer_unit("TimeoutStopSec=20\n", "TimeoutStopSec=1min 5s\n", "drain_seconds = 60\n"),
    "FSP815": layer_unit("LimitNOFILE=8192\n", "LimitNOFILE=12000\n", "max_sessions = 5000\n"),
    "FSP820": Case(
        "hiddenimports=[]",
        "a = Analysis(['app.py'], hiddenimports=[])\n",
        "a = Analysis(['app.py'], hiddenimports=['engineio.async_drivers.threading'])\n",
        "app.spec",
        around="",
        others={"app.py": APP},
    ),
    "FSP821": Case(
        "datas=[]",
        "a = Analysis(['app.py'], datas=[])\n",
        "a = Analysis(['app.py'], datas=[('templates', 'templates')])\n",
        "app.spec",
        around="",
        others={"app.py": APP, "templates/index.html": "<p>"},
    ),
    "FSP830": nginx("        proxy_pass http://127.0.0.1:5000;\n", UPGRADE, "proxy_pass"),
    "FSP831": nginx(
        UPGRADE + "        proxy_set_header Host $host;\n", UPGRADE + HOST, "Host $host", "8080"
    ),
    "FSP832": nginx(
        UPGRADE + HOST,
        UPGRADE + HOST + "        proxy_set_header X-Forwarded-Proto $scheme;\n",
        "proxy_pass",
        "443 ssl",
    ),
    "FSP833": nginx(
        UPGRADE + HOST + "        proxy_read_timeout 30s;\n",
        UPGRADE + HOST + "        proxy_read_timeout 1h;\n",
        "proxy_read_timeout",
    ),
    "FSP834": Case(
        "upstream app {",
        "upstream app {\n    server 10.0.0.1:5000;\n    server 10.0.0.2:5000;\n}\n",
        "upstream app {\n    ip_hash;\n    server 10.0.0.1:5000;\n    server 10.0.0.2:5000;\n}\n",
        "deploy/nginx.conf",
        around="server {\n    location / {\n"
        + UPGRADE.replace("127.0.0.1:5000", "app")
        + HOST
        + "    }\n}\n",
        others={"app.py": APP},
    ),
    "FSP835": nginx(
        UPGRADE + HOST + "        client_max_body_size 100k;\n",
        UPGRADE + HOST + "        client_max_body_size 2m;\n",
        "client_max_body_size",
    ),
    "FSP836": nginx(UPGRADE, UPGRADE + HOST, "proxy_pass"),
    "FSP901": Case(
        "socket.io/2.3.0",
        '<script src="https://cdnjs.cloudflare.com/ajax/libs/socket.io/2.3.0/socket.io.js"></script>\n',
        '<script src="https://cdn.socket.io/4.8.1/socket.io.min.js"></script>\n',
        "templates/index.html",
        around="",
        others={"app.py": APP},
        more_right=(
            '<!-- <script src="https://cdn.example/socket.io/2.3.0/socket.io.js"></script> -->\n',
        ),
    ),
    "FSP902": script(
        "const socket = io({transports: ['websocket', 'polling']});",
        "const socket = io();",
        "",
        "const socket = io({transports: ['websocket']});",
        "const socket = io({transports: ['polling', 'websocket']});",
    ),
    "FSP903": script(
        "const socket = io({pingTimeout: 60000});", "const socket = io({timeout: 5000});"
    ),
    "FSP904": script(
        "const socket = io({forceNew: true});",
        "const socket = io({forceNew: true, reconnection: false});",
    ),
    "FSP905": script(
        "const socket = io();\nsocket.on('connect_error', () => setTimeout(() => socket.connect(), 500));",
        "const socket = io();\nsocket.on('connect_error', (error) => console.log(error));",
        "socket.connect()",
        "const socket = io();\nsocket.on('connect_error', () => {\n"
        "  if (!socket.active) socket.connect();\n});",
    ),
    "FSP906": script(
        "const socket = io();\nsocket.on('connect_error', (error) => {\n"
        "  if (error.message.includes('500')) show();\n});",
        "const socket = io();\nsocket.on('connect_error', (error) => show(error.message));",
        "error.message.includes('500')",
    ),
    "FSP907": script(
        "addEventListener('load', () => setTimeout(() => { window.socket = io(); }, 1000));",
        "addEventListener('load', () => { window.socket = io(); });",
    ),
    "FSP908": script(
        "const socket = io();\naddEventListener('beforeunload', () => socket.disconnect());",
        "const socket = io();",
        "beforeunload",
        "const socket = io();\naddEventListener('beforeunload', () => save());",
    ),
    "FSP909": script(
        "const socket = io('http://localhost:5000');",
        "const socket = io('/chat');",
        "",
        "const socket = io();",
        "// const socket = io('http://localhost:5000');\nconst socket = io();",
        "const socket = io('https://live.example.org');",
        "const url = location.origin;\nconst socket = io(url);",
    ),
    "FSP910": script(
        "const socket = io.connect('http://' + document.domain + ':' + location.port);",
        "const socket = io.connect();",
        "",
        "const port = location.port ? ':' + location.port : '';\nconst socket = io('//' + location.hostname + port);",
        "const socket = io(location.protocol + '//' + document.domain + ':' + location.port);",
    ),
    "FSP911": script(
        "window.WebSocket = FixedWebSocket;",
        "const original = window.WebSocket;",
        "",
        "if (window.WebSocket === undefined) show();",
    ),
    "FSP912": script(
        "const fixed = url.replace(':8001/', ':8000/');", "const fixed = text.replace('a:', 'b:');"
    ),
    "FSP913": script(
        "fetch('/socket.io/?EIO=3&transport=polling');",
        "fetch('/socket.io/?EIO=4&transport=polling');",
    ),
    "FSP914": Case(
        "io()",
        "const socket = io();\n",
        'const socket = io({ transports: ["websocket"] });\n',
        "static/client.js",
        around="",
        others={"app.py": IMPORTS + 'socketio = SocketIO(app, transports=["websocket"])\n'},
        more_right=(
            "const options = { transports: ['websocket'] };\nconst socket = io(options);\n",
        ),
    ),
}
