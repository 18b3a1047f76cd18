from gevent import monkey; monkey.patch_all()
from gevent.pywsgi import WSGIServer
from werkzeug.middleware.proxy_fix import ProxyFix
from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
app.config['SECRET_KEY'] = 'x' * 8
socketio = SocketIO(app, async_mode='gevent')


@socketio.on('upper')
def upper(text):
    return text.upper()


if __name__ == '__main__':
    server = WSGIServer(('0.0.0.0', 5000), ProxyFix(app))
    server.serve_forever()
