"""Everything that people start to push data: at import, on the first connection, in a handler."""
import threading
import time

from flask import Flask
from flask_socketio import SocketIO, emit

app = Flask(__name__)
app.config['SECRET_KEY'] = 'secret'
socketio = SocketIO(app, async_mode=None)

thread = None
thread_lock = threading.Lock()


def push(name, pause):
    while True:
        pause(0.1)
        socketio.emit('push', name)


threading.Thread(target=push, args=('thread at import', time.sleep)).start()
socketio.start_background_task(push, 'task at import', socketio.sleep)


@socketio.on('connect')
def connect():
    global thread
    with thread_lock:
        if thread is None:
            thread = socketio.start_background_task(push, 'first connection', socketio.sleep)


@socketio.on('start')
def start():
    threading.Thread(target=push, args=('thread in a handler', time.sleep)).start()


if __name__ == '__main__':
    socketio.run(app)
