from flask import abort, current_app, render_template_string

from . import main


@main.route('/')
def index():
    return current_app.config['NAME']


@main.app_errorhandler(404)
def not_found(error):
    return 'nothing here, says the app', 404
