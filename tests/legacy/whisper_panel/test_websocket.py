"""测试WebSocket连接状态，模拟页面刷新"""
import time

import socketio


def main():
    for number in range(5):
        client = socketio.Client()
        client.connect('http://127.0.0.1:5552')
        time.sleep(0.5)
        client.disconnect()
        print('refresh', number, 'ok')


if __name__ == '__main__':
    main()
