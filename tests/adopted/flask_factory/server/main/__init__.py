from flask import Blueprint

main = Blueprint('health', __name__)   # the name that the layer's own blueprint has, too

from . import events, routes
