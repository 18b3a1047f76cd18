import SocketIO

let manager = SocketManager(
    socketURL: url,
    config: [
        .reconnects(true),           // 启用自动重连
        .reconnectAttempts(5),       // 最多重连5次
        .reconnectWait(2)            // 每次等待2秒
    ]
)
