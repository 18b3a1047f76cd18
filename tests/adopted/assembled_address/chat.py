from flask import Flask
from flask_socketio import SocketIO, emit

app = Flask(__name__)
app.config['SECRET_KEY'] = 'secret!'
socketio = SocketIO(app)

PAGE = '''<!doctype html>
<title>waiting</title>
<script src="/static/socket.io.js"></script>
<script>
var socket = io.connect('http://' + document.domain + ':' + location.port);
socket.on('welcome', function(data) {
    document.title = 'connected by ' + socket.io.engine.transport.name;
});
</script>
'''

@app.route('/')
def index():
    return PAGE

@app.route('/guarded')
def guarded():
    return PAGE, {'Content-Security-Policy': "object-src 'none'"}

@app.route('/data')
def data():
    return {'plain': True}

@socketio.on('connect')
def connected():
    emit('welcome', {})

if __name__ == '__main__':
    socketio.run(app, debug=True)
