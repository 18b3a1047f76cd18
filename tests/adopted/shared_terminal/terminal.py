"""One pseudo-terminal that every client writes to."""
import os
import pty
import select
import tty

from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__, static_folder='.', static_url_path='')
app.config['SECRET_KEY'] = 'terminal'
app.config['fd'] = None
socketio = SocketIO(app)


def forward_output():
    while True:
        socketio.sleep(0.01)
        ready, _, _ = select.select([app.config['fd']], [], [], 0)
        if ready:
            socketio.emit('output', os.read(app.config['fd'], 65536).decode(), namespace='/pty')


@socketio.on('connect', namespace='/pty')
def connect():
    if app.config['fd'] is None:
        pid, fd = pty.fork()
        if pid == 0:
            os.execvp('cat', ['cat'])
        tty.setraw(fd)
        app.config['fd'] = fd
        socketio.start_background_task(target=forward_output)


@socketio.on('input', namespace='/pty')
def type_in(data):
    os.write(app.config['fd'], data['text'].encode())


if __name__ == '__main__':
    socketio.run(app, port=5001)
