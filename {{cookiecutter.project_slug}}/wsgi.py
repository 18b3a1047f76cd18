"""What gunicorn serves: it loads `wsgi:app` in each worker, after the worker is patched."""

from {{ cookiecutter.package_name }} import create_app

app = create_app()
