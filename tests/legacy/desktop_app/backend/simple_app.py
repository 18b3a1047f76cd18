import logging
import os
import sys

from flask import Flask, render_template, send_from_directory
from flask_socketio import SocketIO, emit

logging.basicConfig(level=logging.DEBUG)
logger = logging.getLogger(__name__)


def resource_path(name):
    """前端资源处理: 打包环境中资源在 _MEIPASS"""
    base = getattr(sys, '_MEIPASS', os.path.dirname(os.path.abspath(__file__)))
    return os.path.join(base, name)


app = Flask(__name__, template_folder=resource_path('templates'))
socketio = SocketIO(app, async_mode='threading')
logger.info('SocketIO初始化成功')


@app.route('/')
def index():
    return render_template('index.html')


@app.route('/frontend/<path:name>')
def frontend(name):
    return send_from_directory(resource_path('../frontend'), name)


@socketio.on('connect')
def handle_connect():
    logger.debug('客户端连接')
    emit('server_status', {'status': 'ok'})
    return True


@socketio.on('message')
def handle_message(data):
    try:
        emit('response', {'data': data})
        return {'status': 'ok'}
    except Exception:
        logger.exception('消息处理失败')
        return {'status': 'error'}


@socketio.on('disconnect')
def handle_disconnect(reason=None):
    logger.debug('客户端断开')


if __name__ == '__main__':
    socketio.run(app, host='127.0.0.1', port=5000)
