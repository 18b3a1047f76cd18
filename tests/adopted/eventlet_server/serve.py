import eventlet
eventlet.monkey_patch()
import os
import eventlet.wsgi
from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
app.config['SECRET_KEY'] = os.urandom(24).hex()
socketio = SocketIO(app, async_mode='eventlet')


@socketio.on('upper')
def upper(text):
    return text.upper()


if __name__ == '__main__':
    eventlet.wsgi.server(eventlet.listen(('127.0.0.1', int(os.environ['PORT']))), app)
    raise SystemExit('the server returned')
