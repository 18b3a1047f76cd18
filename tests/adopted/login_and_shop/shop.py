import os

from flask import Flask, jsonify, request, session
from flask_login import LoginManager, UserMixin, current_user, login_user
from flask_session import Session
from flask_socketio import SocketIO, disconnect, emit
from flask_sqlalchemy import SQLAlchemy
from cachelib import FileSystemCache

app = Flask(__name__)
app.config.update(
    SECRET_KEY='a secret that is long enough to be taken for a good one',
    SQLALCHEMY_DATABASE_URI='sqlite:///shop.db',
    SESSION_TYPE='cachelib',
    SESSION_CACHELIB=FileSystemCache(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'sessions')),
)
db = SQLAlchemy(app)
Session(app)
login = LoginManager(app)
socketio = SocketIO(app, manage_session=False)


class User(UserMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String, unique=True)


class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.Integer, db.ForeignKey('user.id'))
    item = db.Column(db.String)


@login.user_loader
def load_user(id):
    return db.session.get(User, int(id))


@app.route('/login/<name>', methods=['POST'])
def log_in(name):
    user = User.query.filter_by(name=name).first()
    if user is None:
        user = User(name=name)
        db.session.add(user)
        db.session.commit()
    login_user(user)
    session['cart'] = 0
    return jsonify(name=current_user.name)


@app.route('/cart')
def cart():
    return jsonify(cart=session.get('cart'))


@socketio.on('connect')
def connect():
    if not current_user.is_authenticated:
        return False


@socketio.on('order')
def order(item):
    db.session.add(Order(user_id=current_user.id, item=item))
    db.session.commit()
    session['cart'] = session.get('cart', 0) + 1
    return {'user': current_user.name, 'orders': Order.query.filter_by(user_id=current_user.id).count()}


if __name__ == '__main__':
    with app.app_context():
        db.create_all()
    socketio.run(app, debug=True)
