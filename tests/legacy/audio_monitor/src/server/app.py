import math
import random

from flask import Flask, jsonify, render_template
from flask_socketio import SocketIO, emit
from werkzeug.exceptions import HTTPException

app = Flask(__name__)

socketio = SocketIO(
    app,
    cors_allowed_origins="*",
    async_mode='threading',
    ping_timeout=60,
    ping_interval=25,
    max_http_buffer_size=1e6,
    engineio_logger=False,
    logger=False,
    # 新增参数
    handle_sigterm=False,      # 禁止 SocketIO 处理 SIGTERM
    suppress_send=False,       # 不抑制发送
    always_connect=True,       # 总是尝试连接
)


@app.errorhandler(Exception)
def handle_all_errors(e):
    """全局异常处理器 - 防止流中间的错误导致 start_response 问题"""
    import traceback
    traceback.print_exc()

    if isinstance(e, HTTPException):
        return {'error': str(e)}, e.code

    # 确保始终返回有效响应
    return {'error': 'Internal Server Error', 'type': type(e).__name__}, 500


@app.after_request
def after_request(response):
    """在响应后处理，确保头已设置"""
    if response.status_code >= 500:
        response.headers['Content-Type'] = 'application/json'
    return response


@app.route('/')
def index():
    return render_template('index.html')


@app.route('/health')
def health():
    return jsonify(status='ok')


@socketio.on('connect')
def handle_connect():
    emit('status', {'recording': False})


@socketio.on('request_level')
def handle_level(data=None):
    emit('level', {'db': 20 * math.log10(random.random() + 1e-6)})


@socketio.on('disconnect')
def handle_disconnect(reason):
    print('client left:', reason)
