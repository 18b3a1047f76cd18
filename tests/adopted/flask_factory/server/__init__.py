from flask import Flask

from .extensions import socketio


def create_app(config_name='default'):
    app = Flask(__name__)
    app.config['SECRET_KEY'] = 'hard to guess string, or so they thought at the time'
    app.config['NAME'] = config_name

    from .main import main as main_blueprint
    app.register_blueprint(main_blueprint)
    from .api import api as api_blueprint
    app.register_blueprint(api_blueprint, url_prefix='/api')

    socketio.init_app(app, json=__import__('json'))
    return app
