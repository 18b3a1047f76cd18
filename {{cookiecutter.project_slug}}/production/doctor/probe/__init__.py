"""Whether a service does what its clients need, seen from where its clients are.

``python -m production.doctor probe URL`` is the command; :func:`production.doctor.probe.run.run` is
the same for programs. The service may be any that speaks Socket.IO, behind any proxy, and broken.

``wire/`` speaks to it, ``steps/`` are what is tried, in the order of ``plan.py``; ``answers.py`` knows
what the answers that services and proxies give mean.
"""
