"""Check the answers once more: those of a replay file come here without having been prompted for.

The check runs while cookiecutter renders this hook:
{{ cookiecutter | checked }}
"""
