import argparse
import os
import signal
import sys

from flask import Flask, jsonify
from flask_socketio import SocketIO

app = Flask(__name__)
app.secret_key = os.environ.get('MY_SECRET', 'dev')
socketio = SocketIO()
socketio.init_app(app)


@app.route('/config')
def config():
    return jsonify(greeting=app.config['GREETING'], argv=sys.argv, cwd=os.getcwd(),
                   data=open('data.txt').read().strip(), main=__name__, file=__file__)


@socketio.on('connect')
def connect(auth=None):
    socketio.emit('greeting', app.config['GREETING'])


def ticker():
    n = 0
    while True:
        socketio.sleep(0.1)
        n += 1
        socketio.emit('tick', {'n': n})


def stop(signum, frame):
    print('cleaning up')
    sys.exit(0)


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('--greeting', required=True)
    parser.add_argument('--port', type=int, default=5000)
    args = parser.parse_args()
    app.config['GREETING'] = args.greeting
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    socketio.start_background_task(ticker)
    socketio.run(app, port=args.port, debug=False)
