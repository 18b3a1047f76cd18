import os

from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
app.config['SECRET_KEY'] = os.environ['SECRET_FROM_DOTENV']
socketio = SocketIO(app)


@socketio.event
def double(number):
    return 2 * number


if __name__ == '__main__':
    socketio.run(app)
