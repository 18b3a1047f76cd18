import os
import sys

from flask_socketio import SocketIO

socketio = SocketIO(message_queue=os.environ['ORDERS_QUEUE'], channel='orders')
socketio.emit('shipped', sys.argv[1], to=sys.argv[1])
