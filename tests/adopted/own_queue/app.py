"""Shares a queue with the tasks of a Celery worker, see tasks.py."""
import os

from flask import Flask
from flask_socketio import SocketIO, join_room

app = Flask(__name__)
app.config['SECRET_KEY'] = 'orders'
socketio = SocketIO(app, message_queue=os.environ['ORDERS_QUEUE'], channel='orders')


@socketio.on('watch')
def watch(order):
    join_room(order)
    return order


@socketio.on('cancel')
def cancel(order):
    socketio.emit('cancelled', order, to=order)


if __name__ == '__main__':
    socketio.run(app)
