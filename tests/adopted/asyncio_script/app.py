"""Has some coroutines, and runs them on a loop that it takes at the top of the file."""
import asyncio

from flask import Flask
from flask_socketio import SocketIO

loop = asyncio.get_event_loop()
app = Flask(__name__)
app.config['SECRET_KEY'] = 'loop'
socketio = SocketIO(app)


async def look_up(name):
    await asyncio.sleep(0)
    return name.title()

greeting = loop.run_until_complete(look_up('welcome'))


@socketio.on('greet')
def greet(name):
    return f'{greeting}, {name}'


if __name__ == '__main__':
    socketio.run(app)
