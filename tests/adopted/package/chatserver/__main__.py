from .web import app, socketio
from . import namespaces

socketio.on_namespace(namespaces.Chat('/chat'))
socketio.on_namespace(namespaces.Admin('/admin'))

if __name__ == '__main__':
    socketio.run(app)
