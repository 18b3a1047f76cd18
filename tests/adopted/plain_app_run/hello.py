from flask import Flask, request
from flask_socketio import SocketIO

app = Flask(__name__)
app.config['SECRET_KEY'] = 'hello'
app.config['MAX_CONTENT_LENGTH'] = 100
app.config['DEBUG'] = True
socketio = SocketIO(app)


@app.route('/post', methods=['POST'])
def post():
    return str(len(request.get_data()))
