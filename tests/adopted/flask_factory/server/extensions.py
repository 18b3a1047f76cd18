from flask_socketio import SocketIO

socketio = SocketIO(cookie='io')
