"""Written for Flask-SocketIO 4."""
from flask import Flask, request
from flask_socketio import SocketIO, emit, join_room, send

socketio = SocketIO(message_queue=None)
gone = []


@socketio.on('connect')
def connect():
    join_room(request.sid)


@socketio.on('disconnect')
def disconnect():
    gone.append(request.sid)


@socketio.on('shout')
def shout(text):
    socketio.emit('shouted', text, broadcast=True)
    socketio.send(text, broadcast=True)


@socketio.on('whisper')
def whisper(text):
    socketio.emit('whispered', text, room=request.sid)


def work():
    socketio.sleep(0.2)


worker = None


@socketio.on('work')
def start_work():
    global worker
    if worker is None or not worker.is_alive():
        worker = socketio.start_background_task(target=work)
        return 'started'
    return 'busy'


def create_app():
    app = Flask(__name__)
    app.config['SECRET_KEY'] = 'mysecret'
    socketio.init_app(app)
    app.add_url_rule('/gone', view_func=lambda: {'gone': gone})
    return app


@socketio.on('late')
def late():
    return 'registered before init_app'


app = create_app()


@socketio.on('later')
def later():
    return 'registered after init_app'


if __name__ == '__main__':
    socketio.run(app, host='0.0.0.0', debug=True, use_reloader=False)
