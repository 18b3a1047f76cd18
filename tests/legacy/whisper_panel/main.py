import logging
import time

from flask import Flask, render_template, request, session
from flask_socketio import SocketIO, emit

import config
from utils.logger import WebSocketLogHandler

logger = logging.getLogger('whisper')
logger.setLevel(logging.INFO)

app = Flask(__name__)
app.config['SECRET_KEY'] = config.SECRET_KEY

socketio = SocketIO(
    app,
    cors_allowed_origins="*",
    logger=False,
    engineio_logger=False,
    ping_timeout=120,
    ping_interval=30,
    async_mode='threading',
    manage_session=False,  # 禁用会话管理，避免冲突
    always_connect=True,   # 总是尝试连接
    transports=['websocket', 'polling']  # 支持多种传输方式
)

logger.addHandler(WebSocketLogHandler(socketio))


@socketio.on_error_default
def default_error_handler(e):
    """默认WebSocket错误处理器"""
    logger.error(f'WebSocket默认错误处理器: {str(e)}')
    return False


@app.before_request
def before_request():
    """请求前处理"""
    if request.path.startswith('/socket.io/'):
        # 对于WebSocket请求，确保响应头正确设置
        pass


@app.route('/')
def index():
    return render_template('index.html')


@socketio.on('connect')
def handle_connect():
    try:
        session['connected_at'] = time.time()
        emit('connection_ack', {'status': 'connected'})
    except Exception as e:
        logger.error(f'connect: {e}')


@socketio.on('disconnect')
def handle_disconnect():
    try:
        logger.info('客户端断开')
    except Exception as e:
        logger.error(f'disconnect: {e}')


@socketio.on('heartbeat')
def handle_heartbeat(data=None):
    try:
        emit('heartbeat_response', {'status': 'ok', 'timestamp': time.time()})
    except Exception as e:
        logger.error(f'heartbeat: {e}')


if __name__ == '__main__':
    socketio.run(
        app,
        host=config.HOST,
        port=config.PORT,
        debug=config.DEBUG,
        use_reloader=False,  # 禁用自动重载
        log_output=False,    # 禁用默认日志输出
        allow_unsafe_werkzeug=True  # 允许不安全的Werkzeug版本
    )
