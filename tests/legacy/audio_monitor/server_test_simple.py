"""无需音频设备的服务器启动"""
from flask import Flask
from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app, async_mode='threading')


@socketio.on('ping_test')
def ping_test(data=None):
    emit('pong_test', data)


if __name__ == '__main__':
    socketio.run(app, port=5001, allow_unsafe_werkzeug=True)
