import logging.config

logging.config.dictConfig({'version': 1, 'root': {'level': 'INFO', 'handlers': []}})

from hello import app
from flask_socketio import SocketIO

if __name__ == '__main__':
    socketio = SocketIO(app)
    socketio.on_event('hello', lambda name: f'hello {name}, from the second object')
    app.run(host='0.0.0.0', port=80, debug=True)
