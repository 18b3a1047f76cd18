import os
import threading

from flask import Flask
from flask_socketio import SocketIO

api = Flask('api')
threading.Thread(target=api.run, kwargs={'port': 5001}, daemon=True).start()

app = Flask(__name__)
app.config['SECRET_KEY'] = 'two apps'
app.config['DEBUG'] = True
socketio = SocketIO(app)
started = []
if os.environ.get('WERKZEUG_RUN_MAIN') == 'true':
    started.append('only in the process that serves')


@app.route('/')
def page():
    return 'page' if started else 'nothing was started'


@socketio.on('which')
def which():
    return 'the one with Socket.IO'


socketio.run(app)
