"""Binds its ports when it is imported, and reads them in threads."""
import os
import socket
import threading

from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
app.config['SECRET_KEY'] = 'listener'
socketio = SocketIO(app)

datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(('127.0.0.1', int(os.environ['PORT_IN'])))
lines = socket.socket()
lines.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
lines.bind(('127.0.0.1', int(os.environ['PORT_IN'])))
lines.listen()


def read_datagrams():
    while True:
        socketio.emit('heard', datagrams.recv(2048).decode())


def read_lines():
    while True:
        connection, address = lines.accept()
        with connection, connection.makefile() as text:
            for line in text:
                socketio.emit('heard', line.strip())


threading.Thread(target=read_datagrams, daemon=True).start()
socketio.start_background_task(read_lines)

if __name__ == '__main__':
    socketio.run(app)
