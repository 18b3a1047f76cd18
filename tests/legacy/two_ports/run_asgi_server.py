import os

from daphne.cli import CommandLineInterface

os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'project.settings')

if __name__ == '__main__':
    CommandLineInterface().run(['-p', '8000', 'project.asgi:application'])
