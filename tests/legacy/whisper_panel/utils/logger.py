import logging


class WebSocketLogHandler(logging.Handler):
    def __init__(self, socketio=None):
        super().__init__()
        self.socketio = socketio

    def emit(self, record):
        log_entry = {'level': record.levelname, 'message': self.format(record)}
        # 通过WebSocket发送日志到前端，添加错误处理
        if self.socketio:
            try:
                self.socketio.emit('log_message', log_entry)
            except Exception as ws_error:
                # WebSocket发送失败时不中断程序，只在控制台输出错误
                print(f"WebSocket日志发送失败: {ws_error}")
