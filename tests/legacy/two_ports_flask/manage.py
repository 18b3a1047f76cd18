import sys

from chat import create_app

if __name__ == '__main__':
    if sys.argv[1:2] == ['runserver']:
        create_app().run(port=int(sys.argv[2]))
