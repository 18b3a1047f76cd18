// WebSocket连接处理: 重试机制与连接状态日志
const socketService = {
  retries: 0,

  init() {
    this.socket = io({ timeout: 20000 });
    this.socket.on('connect', () => console.log('[socket] 已连接', this.socket.id));
    this.socket.on('disconnect', (reason) => console.log('[socket] 已断开', reason));
    this.socket.on('connect_error', (error) => {
      console.log('[socket] 连接失败', error, this.retries);
      if (this.retries++ < 10) {
        setTimeout(() => this.socket.connect(), 500);
      }
    });
  },
};

socketService.init();
