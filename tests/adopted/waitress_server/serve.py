import os
from waitress import serve
from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
app.config['SECRET_KEY'] = 'x' * 8
socketio = SocketIO(app, async_mode='threading')


@socketio.on('upper')
def upper(text):
    return text.upper()


if __name__ == '__main__':
    # no websockets here :(
    serve(app, host='0.0.0.0', port=int(os.environ.get('PORT', 8080)), threads=8)
