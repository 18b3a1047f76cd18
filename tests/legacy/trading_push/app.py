import logging
import os

from flask import Flask, session
from flask_socketio import SocketIO, emit, join_room

from trading_ws import TradingWebSocket

logger = logging.getLogger(__name__)

app = Flask(__name__)
app.config['SECRET_KEY'] = os.environ.get('SECRET_KEY')

socketio = SocketIO(
    app,
    ping_timeout=60,      # 60秒无响应视为断开
    ping_interval=25      # 每25秒发送一次心跳
)
trading_ws = TradingWebSocket(socketio)


@socketio.on('connect')
def handle_connect(auth=None):
    session['ws_user_id'] = (auth or {}).get('user_id')


@socketio.on('subscribe')
def handle_subscribe(data):
    user_id = session.get('ws_user_id')
    trading_ws.subscribe_user(user_id, data['types'])
    for data_type in data['types']:
        join_room(f'{data_type}_{user_id}')
    emit('subscribed', data['types'])


@socketio.on('update')
def handle_update(data):
    trading_ws.push(session.get('ws_user_id'), data['type'], data['data'])


@socketio.on('disconnect')
def handle_disconnect():
    try:
        user_id = session.get('ws_user_id')
        print(f"🔌 WebSocket客户端断开连接")
        if user_id:
            print(f"   用户ID: {user_id}")
        logger.info(f"WebSocket客户端已断开连接 - 用户ID: {user_id}")
    except Exception as e:
        # 忽略断开连接时的错误
        print(f"⚠️ 断开连接处理出错（可忽略）: {e}")
        pass


@socketio.on('disconnect', namespace='/trading')
def handle_trading_disconnect():
    try:
        user_id = session.get('ws_user_id')
        if user_id:
            # 自动清理所有订阅
            trading_ws.unsubscribe_user(
                user_id,
                ['balance', 'positions', 'pnl', 'orders']
            )
            print(f"🧹 自动清理用户{user_id}的订阅")
    except:
        pass


@socketio.on('disconnect', namespace='/market')
def handle_market_disconnect():
    # 清理用户订阅
    # 清理缓存数据
    # 离开所有房间
    pass


if __name__ == '__main__':
    socketio.run(app, host='0.0.0.0', port=5000)
