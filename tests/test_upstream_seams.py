"""The private parts of other libraries that the layer builds on, as they were when it was written.

Each of them is used behind one seam. When a release changes one, this test fails and names it: read
the change, adapt the seam, and only then write down the new fingerprint.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import engineio.base_server
import engineio.base_socket
import engineio.payload
import engineio.server
import engineio.socket
import flask
import flask.cli
import flask.ctx
import flask_socketio
import gunicorn.arbiter
import gunicorn.glogging
import gunicorn.http
import gunicorn.http.body
import gunicorn.http.parser
import gunicorn.http.unreader
import gunicorn.sock
import gunicorn.workers.base
import gunicorn.workers.base_async
import gunicorn.workers.ggevent
import gunicorn.workers.gthread
import prometheus_client.multiprocess
import prometheus_client.values
import pytest
import socketio.admin
import socketio.base_manager
import socketio.manager
import socketio.msgpack_packet
import socketio.packet
import socketio.pubsub_manager
import socketio.server
import werkzeug.middleware.proxy_fix
import wsproto.connection
import wsproto.frame_protocol

SEAMS: dict[str, list[Callable[..., Any] | type]] = {
    "production/realtime/session.py": [
        engineio.base_socket.BaseSocket,
        engineio.socket.Socket,
        engineio.payload.Payload,
    ],
    "production/realtime/engine.py": [
        engineio.server.Server.handle_request,
        engineio.server.Server._handle_connect,
        engineio.server.Server._trigger_event,
        engineio.base_server.BaseServer.__init__,
        engineio.base_server.BaseServer._log_error_once,
        engineio.base_server.BaseServer._cors_allowed_origins,
        engineio.base_server.BaseServer._bad_request,
        engineio.base_server.BaseServer._ok,
    ],
    "production/realtime/timers.py": [engineio.server.Server.create_event],
    "production/realtime/server.py": [
        socketio.server.Server._handle_ack,
        socketio.server.Server._handle_connect,
        socketio.server.Server._handle_disconnect,
        socketio.server.Server._handle_eio_connect,
        socketio.server.Server._handle_eio_disconnect,
        socketio.server.Server._handle_eio_message,
        socketio.server.Server._handle_event,
        socketio.server.Server._handle_event_internal,
        socketio.server.Server._send_eio_packet,
        socketio.server.Server._send_packet,
        socketio.server.Server._trigger_event,
        socketio.server.Server.call,
        flask_socketio.SocketIO._handle_event,
        flask_socketio.Namespace.trigger_event,
    ],
    "production/realtime/attaching.py": [flask_socketio.SocketIO.init_app],
    "production/realtime/msgpack_packets.py": [socketio.msgpack_packet.MsgPackPacket],
    "production/realtime/manager.py": [
        socketio.base_manager.BaseManager,
        socketio.manager.Manager.emit,
        socketio.manager.Manager.trigger_callback,
        socketio.pubsub_manager.PubSubManager.emit,
        socketio.pubsub_manager.PubSubManager._handle_emit,
        socketio.pubsub_manager.PubSubManager._handle_enter_room,
        socketio.pubsub_manager.PubSubManager._handle_leave_room,
        socketio.pubsub_manager.PubSubManager._handle_close_room,
    ],
    "production/realtime/contexts.py": [
        flask.Flask.request_context,
        flask.Flask.create_url_adapter,
        flask.ctx.RequestContext.__init__,
        flask.ctx.RequestContext.push,
    ],
    "production/realtime/packets.py": [socketio.packet.Packet],
    "production/realtime/websocket.py": [wsproto.connection.Connection],
    "production/realtime/speaker.py": [
        wsproto.frame_protocol.FrameDecoder,
        wsproto.frame_protocol.FrameProtocol._process_close,
    ],
    "production/process": [
        gunicorn.arbiter.Arbiter.handle_hup,
        gunicorn.arbiter.Arbiter.manage_workers,
        gunicorn.arbiter.Arbiter.reap_workers,
        gunicorn.arbiter.Arbiter.handle_term,
        gunicorn.arbiter.Arbiter.reload,
        gunicorn.arbiter.Arbiter.signal,
        gunicorn.arbiter.Arbiter.start,
        gunicorn.sock.create_sockets,
        gunicorn.workers.base.Worker,
        gunicorn.workers.base_async.AsyncWorker.handle,
        gunicorn.workers.base_async.AsyncWorker.handle_request,
        gunicorn.workers.ggevent.GeventWorker,
        gunicorn.workers.gthread.TConn,
        gunicorn.workers.gthread.ThreadWorker.run,
        gunicorn.workers.gthread.ThreadWorker.handle,
        gunicorn.workers.gthread.ThreadWorker.murder_keepalived,
        gunicorn.workers.gthread.ThreadWorker.murder_pending,
        gunicorn.workers.gthread.ThreadWorker.finish_request,
        gunicorn.workers.gthread.ThreadWorker.set_accept_enabled,
        gunicorn.workers.gthread.ThreadWorker.handle_quit,
    ],
    "production/process/broken_bodies.py": [gunicorn.http.body.Body],
    "production/process/parsing.py": [
        gunicorn.http.get_parser,
        gunicorn.http.parser.Parser,
    ],
    "production/process/reading.py": [
        gunicorn.http.unreader.Unreader,
        gunicorn.http.unreader.SocketUnreader,
    ],
    "production/http/proxy.py": [werkzeug.middleware.proxy_fix.ProxyFix],
    "production/adopt": [
        flask.Flask.run,
        flask.cli.locate_app,
        flask.cli.prepare_import,
        flask_socketio.SocketIO.run,
    ],
    "production/observe/logs.py": [gunicorn.glogging.Logger.setup],
    "production/observe/admin_ui.py": [socketio.admin.InstrumentedServer],
    "production/observe/shared_values.py": [
        prometheus_client.values.MultiProcessValue,
        prometheus_client.multiprocess.MultiProcessCollector,
    ],
}

FINGERPRINTS = {
    "engineio.base_socket.BaseSocket": "d787ee3666d08b7a",
    "engineio.socket.Socket": "275926e457711513",
    "engineio.payload.Payload": "6b839223a0a7fc97",
    "engineio.server.Server.handle_request": "79302edd007fcce6",
    "engineio.server.Server._handle_connect": "049f7c2b2c239080",
    "engineio.server.Server._trigger_event": "bc536417c3045418",
    "engineio.base_server.BaseServer.__init__": "a06b17502fbd9646",
    "engineio.base_server.BaseServer._log_error_once": "dccbb5602dc46a09",
    "engineio.base_server.BaseServer._cors_allowed_origins": "d0cad0c66d5333cb",
    "socketio.server.Server._handle_ack": "7f114abcf99ff82b",
    "socketio.manager.Manager.trigger_callback": "2fb84d8a3eeeb0c1",
    "socketio.server.Server._handle_connect": "1b0ba130a57d9320",
    "socketio.server.Server._handle_disconnect": "fb93d61de8cb8c31",
    "socketio.server.Server._handle_eio_connect": "4be135c046ed6bcc",
    "socketio.server.Server._handle_eio_disconnect": "5c0002fcdb35a127",
    "socketio.server.Server._handle_eio_message": "65f309c138d634eb",
    "socketio.server.Server._handle_event": "3f64c030f25eb785",
    "socketio.server.Server._handle_event_internal": "37e1c84a69747f32",
    "socketio.server.Server._trigger_event": "836cb0c8d232fd2d",
    "flask_socketio.SocketIO.init_app": "12a3a6c8e8962c3e",
    "flask_socketio.SocketIO._handle_event": "70d95a741fbd40a7",
    "flask_socketio.namespace.Namespace.trigger_event": "99752624acf77139",
    "socketio.base_manager.BaseManager": "b393b4c05dbd88e2",
    "socketio.manager.Manager.emit": "566510ea2de39d65",
    "socketio.pubsub_manager.PubSubManager.emit": "d26eb5218961eb56",
    "socketio.pubsub_manager.PubSubManager._handle_emit": "f1fb64e2d84161f6",
    "socketio.pubsub_manager.PubSubManager._handle_enter_room": "f4a5a3619d98fd7f",
    "socketio.pubsub_manager.PubSubManager._handle_leave_room": "4770a107c5a258b5",
    "socketio.pubsub_manager.PubSubManager._handle_close_room": "5b06fc1b87c62e0c",
    "werkzeug.middleware.proxy_fix.ProxyFix": "41cf042d4ad4636d",
    "flask.app.Flask.request_context": "749e859aaeb91b1b",
    "flask.app.Flask.create_url_adapter": "066133a70e406d12",
    "flask.ctx.RequestContext.__init__": "64e04eb6fbcbae6a",
    "flask.ctx.RequestContext.push": "ace499f160e06e2d",
    "socketio.packet.Packet": "e1660ba64e4e31fc",
    "wsproto.connection.Connection": "6b70917fe888fb2c",
    "wsproto.frame_protocol.FrameDecoder": "a06eb6159106220a",
    "wsproto.frame_protocol.FrameProtocol._process_close": "40937c490689d1ed",
    "gunicorn.arbiter.Arbiter.handle_hup": "50de80005cd672c7",
    "gunicorn.arbiter.Arbiter.manage_workers": "518f2dd040ef6809",
    "gunicorn.arbiter.Arbiter.reap_workers": "ebcf4187e9ebf378",
    "gunicorn.arbiter.Arbiter.signal": "8b193e95e16aa270",
    "gunicorn.arbiter.Arbiter.handle_term": "93d583480a66c6ec",
    "gunicorn.arbiter.Arbiter.reload": "fec344d2f774ee32",
    "gunicorn.arbiter.Arbiter.start": "92668bdb3e86b1af",
    "gunicorn.sock.create_sockets": "e40907e99a125bd3",
    "gunicorn.workers.base.Worker": "41bcd41fbc752179",
    "gunicorn.workers.base_async.AsyncWorker.handle": "6eb3b127e6ba7e84",
    "gunicorn.workers.base_async.AsyncWorker.handle_request": "913e17a9542aa70d",
    "gunicorn.workers.ggevent.GeventWorker": "e8670f94f359d4bf",
    "gunicorn.workers.gthread.ThreadWorker.run": "f92c7394d85715a4",
    "gunicorn.workers.gthread.ThreadWorker.finish_request": "616e7bb15a009ff7",
    "gunicorn.workers.gthread.ThreadWorker.set_accept_enabled": "140150ebfd3cae34",
    "gunicorn.workers.gthread.ThreadWorker.handle_quit": "36bd35a8dae5d2b5",
    "gunicorn.http.body.Body": "2a2afc0b6a50d7ea",
    "gunicorn.workers.gthread.TConn": "e3a2878ba952710a",
    "gunicorn.workers.gthread.ThreadWorker.handle": "ca85c9be3df75da4",
    "gunicorn.workers.gthread.ThreadWorker.murder_keepalived": "4459960c4ccc36d4",
    "gunicorn.workers.gthread.ThreadWorker.murder_pending": "7bf11f46454296e1",
    "gunicorn.http.get_parser": "b7d8dcde91e20db4",
    "gunicorn.http.parser.Parser": "3a9c06e348c7e3b5",
    "gunicorn.http.unreader.Unreader": "84aaa8f91fcdbbae",
    "gunicorn.http.unreader.SocketUnreader": "786a257be09ea8dd",
    "flask.app.Flask.run": "142c8ffc95990c80",
    "flask.cli.locate_app": "38cab60b7ec6d225",
    "flask.cli.prepare_import": "8dfb9d16c7c5bbdc",
    "flask_socketio.SocketIO.run": "5e78dd4df78d89de",
    "gunicorn.glogging.Logger.setup": "17c79acdddea07c6",
    "socketio.admin.InstrumentedServer": "d53427fb73ccc273",
    "prometheus_client.values.MultiProcessValue": "8077cd2c482fc32e",
    "prometheus_client.multiprocess.MultiProcessCollector": "0f2c852777f6f9ac",
    "engineio.base_server.BaseServer._bad_request": "af66afac6f6c67db",
    "engineio.base_server.BaseServer._ok": "b8f717402eac2b0d",
    "engineio.base_server.BaseServer.create_event": "634643d012f74e77",
    "socketio.server.Server._send_eio_packet": "5fa452fb118c3565",
    "socketio.server.Server._send_packet": "3289b949be8cbb76",
    "socketio.server.Server.call": "cbd1d9c54985d6fc",
    "socketio.msgpack_packet.MsgPackPacket": "5d56cfefcd1c2449",
}


def fingerprint(part: Callable[..., Any] | type) -> str:
    return hashlib.sha256(inspect.getsource(part).encode()).hexdigest()[:16]


def name(part: Callable[..., Any] | type) -> str:
    return f"{part.__module__}.{part.__qualname__}"


PARTS = [(seam, part) for seam, parts in SEAMS.items() for part in parts]


@pytest.mark.parametrize(("seam", "part"), PARTS, ids=[name(part) for _, part in PARTS])
def test_upstream_is_what_the_seam_was_written_for(
    seam: str, part: Callable[..., Any] | type
) -> None:
    assert fingerprint(part) == FINGERPRINTS[name(part)], f"{name(part)} changed: read {seam}"
