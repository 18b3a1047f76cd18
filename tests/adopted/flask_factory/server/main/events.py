from flask import session
from flask_socketio import emit, join_room

from ..extensions import socketio


@socketio.on('joined', namespace='/chat')
def joined(message):
    room = message['room']
    join_room(room)
    emit('status', {'msg': 'somebody entered'}, room=room)


@socketio.on('text', namespace='/chat')
def text(message):
    emit('message', {'msg': message['msg']}, to=message['room'])


@socketio.on('fail')
def fail():
    raise ValueError('a bug of the app')


@socketio.on('echo')
def echo(data):
    return data
