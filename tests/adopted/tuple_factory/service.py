"""Behind a login, on a path of its own, with a health page of its own."""
from flask import Flask, jsonify, redirect, request, url_for
from flask_socketio import SocketIO
from werkzeug.exceptions import HTTPException


def create_app():
    app = Flask(__name__)
    app.secret_key = 'ab12' * 12
    socketio = SocketIO(app, path='/live/socket', namespaces='*', async_handlers=True)

    @app.before_request
    def guard():
        if request.endpoint not in ('login', 'health'):
            return redirect(url_for('login'))

    @app.route('/login')
    def login():
        return 'please log in'

    @app.route('/health')
    def health():
        return jsonify(mine=True)

    @app.errorhandler(Exception)
    def anything(error):
        code = error.code if isinstance(error, HTTPException) else 500
        return jsonify(error=str(error)), code

    @socketio.on('sum')
    def add(*numbers):
        return sum(numbers)

    return app, socketio
