from flask import request
from flask_socketio import Namespace, close_room, emit, join_room, leave_room, rooms


class Chat(Namespace):
    users = {}

    def on_connect(self):
        self.users[request.sid] = None

    def on_disconnect(self):
        self.users.pop(request.sid, None)
        self.emit('left', len(self.users))

    def on_join(self, data):
        self.users[request.sid] = data['name']
        join_room(data['room'])
        emit('joined', data, room=data['room'])
        return rooms()

    def on_say(self, data):
        self.emit('said', data, room=data['room'], include_self=False)


class Admin(Namespace):
    def on_who(self):
        return sorted(name for name in Chat.users.values() if name)
