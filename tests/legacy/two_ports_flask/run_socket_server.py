import os

from chat import create_app, socketio

app = create_app()
app.config['SECRET_KEY'] = os.environ.get('SECRET_KEY')
socketio.init_app(app)

if __name__ == '__main__':
    socketio.run(app, host='127.0.0.1', port=8000)
