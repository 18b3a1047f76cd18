"""What is wrong with a Flask-SocketIO app, found before its users find it.

``python -m production.doctor check <folder>`` looks into its files, ``probe URL`` at how it runs, see
:mod:`production.doctor.probe`. For programs, :func:`production.doctor.report.check_folder` and
:func:`production.doctor.report.state_verdict` are ``check``. A check is found by its code: each
stands, with its words, in a module of :mod:`production.doctor.checks`.
"""
