"""What gunicorn serves where ``wsgi.py`` is a file of the app."""

from production.adopt import adopt

app = adopt()
