{% if cookiecutter.existing_app %}
"""What gunicorn serves: the app that production.toml names, started as it always was."""

from production.adopt import adopt

app = adopt()
{% else %}
"""What gunicorn serves: it loads `wsgi:app` in each worker, after the worker is patched."""

from {{ cookiecutter.package_name }} import create_app

app = create_app()
{% endif %}
