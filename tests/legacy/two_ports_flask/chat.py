from flask import Flask, render_template
from flask_socketio import SocketIO, emit, join_room

socketio = SocketIO(
    path='ws/chat',
    # 页面在8001端口, WebSocket在8000端口
    cors_allowed_origins=['http://localhost:8001', 'http://127.0.0.1:8001']
)


def create_app():
    app = Flask(__name__)

    @app.route('/')
    def index():
        return render_template('base.html')

    return app


@socketio.on('join')
def handle_join(room):
    join_room(room)
    return {'joined': room}


@socketio.on('chat_message')
def handle_message(data):
    emit('chat_message', data, to=data['room'])
