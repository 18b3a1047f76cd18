class WebSocketManager {
    constructor() {
        this.socket = null;
        this.maxReconnectAttempts = 5;
        this.reconnectDelay = 1000;
        this.connect();
    }

    connect() {
        const wsUrl = window.location.origin;
        this.socket = io(wsUrl, {
            transports: ['websocket', 'polling'],  // 支持多种传输方式
            reconnection: true,
            reconnectionAttempts: this.maxReconnectAttempts,
            reconnectionDelay: this.reconnectDelay,
            reconnectionDelayMax: 5000,  // 最大重连延迟5秒
            timeout: 20000,  // 增加超时时间到20秒
            pingTimeout: 120000,
            pingInterval: 30000,
            forceNew: true,  // 强制新连接
            autoConnect: true  // 自动连接
        });

        this.socket.on('connection_ack', (data) => {
            // 收到服务器连接确认
            statusLogger.success('WebSocket连接已确认', {
                status: data.status,
                timestamp: new Date().toISOString()
            });
        });

        this.socket.on('connect_error', (error) => {
            // 如果是页面刷新导致的错误，尝试重新连接
            if (error.message.includes('500') || error.message.includes('write()')) {
                setTimeout(() => {
                    this.reconnect();
                }, 1000);
            }
        });

        // 后端日志显示在日志面板
        this.socket.on('log_message', (entry) => {
            const line = document.createElement('div');
            line.textContent = `[${entry.level}] ${entry.message}`;
            document.getElementById('log').append(line);
        });

        setInterval(() => this.socket.emit('heartbeat', { sent: Date.now() }), 60000);
    }

    reconnect() {
        this.socket.disconnect();
        this.socket.connect();
    }
}

const statusLogger = { success: (text, details) => console.log(text, details) };
window.wsManager = new WebSocketManager();
