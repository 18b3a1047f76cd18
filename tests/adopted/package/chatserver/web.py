from flask import Flask, render_template
from flask_socketio import SocketIO

app = Flask(__name__)
app.config.update(SECRET_KEY='0f8a6f1d3f6f4b0f9f6e6a1d2c3b4a5968778695')
socketio = SocketIO(app)


@app.route('/')
def index():
    return render_template('index.html')
