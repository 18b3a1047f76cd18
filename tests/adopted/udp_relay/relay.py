"""Reads datagrams in the main thread and serves pages from another."""
import os
import socket
import threading

from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
app.config['SECRET_KEY'] = 'relay'
socketio = SocketIO(app, cors_allowed_origins=['http://localhost:3000'])

server = threading.Thread(target=lambda: socketio.run(app, host='0.0.0.0', port=8080))
server.start()

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(('127.0.0.1', int(os.environ['UDP_PORT'])))
while True:
    data, address = sock.recvfrom(2048)
    socketio.emit('datagram', data.decode())
