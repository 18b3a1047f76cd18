from flask import Flask, render_template_string
from flask_socketio import SocketIO, emit

app = Flask(__name__)
app.config['SECRET_KEY'] = 'secret!'
socketio = SocketIO(app, cors_allowed_origins="*", async_mode='threading', ping_timeout=120,
                    ping_interval=30, logger=True, engineio_logger=True, handle_sigterm=False)

messages = []

@app.route('/')
def index():
    return render_template_string('<h1>{{ n }} messages</h1>', n=len(messages))

@socketio.on('message')
def message(text):
    messages.append(text)
    emit('message', text, broadcast=True)

@app.route('/boom')
def boom():
    return 1 / 0

print("starting on http://localhost:5000")
socketio.run(app, host='0.0.0.0', port=5000, debug=True, allow_unsafe_werkzeug=True)
open('after_run.txt', 'w').write('run() returned')
