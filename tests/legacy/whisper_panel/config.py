import os

HOST = '0.0.0.0'
PORT = 5552
# 生产环境请设置DEBUG=False
DEBUG = os.environ.get('DEBUG', 'True') == 'True'
SECRET_KEY = os.environ.get('SECRET_KEY')
