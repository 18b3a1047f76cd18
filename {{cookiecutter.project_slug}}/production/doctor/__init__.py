"""What is wrong with a Flask-SocketIO app, found in its files before its users find it.

``python -m production.doctor check <folder>`` is the command;
:func:`production.doctor.report.check_folder` and :func:`production.doctor.report.state_verdict` are
the same for programs. A check is found by its code: each stands, with its words, in a module of
:mod:`production.doctor.checks`.
"""
