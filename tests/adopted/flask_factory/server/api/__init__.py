from flask import Blueprint, jsonify

from ..extensions import socketio

api = Blueprint('api', __name__)


@api.route('/notify/<room>', methods=['POST'])
def notify(room):
    socketio.emit('message', {'msg': 'from HTTP'}, room=room, namespace='/chat')
    return jsonify(sent=True)
