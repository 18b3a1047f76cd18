import logging
from typing import Any

logger = logging.getLogger(__name__)


class TradingWebSocket:
    def __init__(self, socketio):
        self.socketio = socketio
        self.subscriptions = {}

    def subscribe_user(self, user_id, data_types):
        self.subscriptions.setdefault(user_id, set()).update(data_types)

    def unsubscribe_user(self, user_id, data_types):
        self.subscriptions.get(user_id, set()).difference_update(data_types)

    def push(self, user_id: int, data_type: str, data: Any):
        if data_type in self.subscriptions.get(user_id, ()):
            self._emit_data_update(user_id, data_type, data)

    def _emit_data_update(self, user_id: int, data_type: str, data: Any):
        try:
            event_name = f'{data_type}_update'
            payload = {'type': data_type, 'data': data}
            room = f'{data_type}_{user_id}'
            print(f"📤 推送{data_type}数据给用户{user_id}")
            print(f"   数据内容: {data}")
            print(f"   房间: {room}")

            try:
                self.socketio.emit(event_name, payload, room=room)
            except Exception as emit_error:
                # 客户端可能已断开，忽略此错误
                if "write() before start_response" in str(emit_error):
                    print(f"⚠️ 客户端可能已断开，跳过推送")
                else:
                    raise
        except Exception as e:
            # 只记录非断开连接的错误
            if "write() before start_response" not in str(e):
                logger.error(f"发送更新事件失败: {e}")

    def broadcast_notice(self, text):
        # ❌ 错误：捕获所有异常
        try:
            self.socketio.emit('notice', text)
        except:
            pass  # 可能隐藏真正的错误

    def broadcast_price(self, price):
        # ✅ 正确：只捕获特定异常
        try:
            self.socketio.emit('price', price)
        except Exception as e:
            if "write() before start_response" in str(e):
                pass  # 忽略断开连接错误
            else:
                raise  # 重新抛出其他错误
