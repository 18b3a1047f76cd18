from src.config import config
from src.server.app import app, socketio


def main():
    print(f'http://localhost:{config.server.port}')
    socketio.run(
        app,
        host=config.server.host,
        port=config.server.port,
        debug=config.server.debug,
        use_reloader=False,
        allow_unsafe_werkzeug=True  # ← 关键修复
    )


if __name__ == '__main__':
    main()
