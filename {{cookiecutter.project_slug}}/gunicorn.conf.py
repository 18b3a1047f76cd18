"""gunicorn's configuration, all of it taken from the settings: see .env.example to change any."""

{% if cookiecutter.existing_app %}
from production.adopt.leaving import leave_threads_behind
{% endif %}
from production.observe.logs import GunicornLogger, configure_logging
from production.process.address import addresses_to_open, wait_for_addresses
from production.process.configuration import (
    check_gunicorn,
    check_worker_count,
    connection_count,
    drain_time_limit,
    limit_workers,
    read_settings,
    tell_worker_count,
    thread_count,
    worker_class_for,
)
from production.process.identity import assign_slot, release_slots
from production.process.metrics_directory import (
    forget_gauges,
    remove_metrics,
    share_metrics,
)
from production.process.metrics_listener import (
    expect_workers,
    keep_listening,
    stop_listening,
)
from production.process.reloading import guard_reload, tell_if_awaited
from production.process.supervisor import supervisor
from production.process.terminal import leave_with_terminal

settings = read_settings()
configure_logging(settings.log_level, settings.log_format)

wsgi_app = "wsgi:app"
bind = addresses_to_open(settings)
workers = settings.web_concurrency
worker_class = worker_class_for(settings)
worker_connections = connection_count(settings)
threads = thread_count(settings)

timeout = settings.worker_timeout
keepalive = settings.keepalive
graceful_timeout = drain_time_limit(settings)
reload = settings.reload

# Whom to believe about the scheme is TRUSTED_PROXIES's business, not decided by who connects.
secure_scheme_headers = {}

# Every gunicorn of one user would share the socket's path, and the second steal it from the first.
control_socket_disable = True
logger_class = GunicornLogger
loglevel = settings.log_level.lower()


def on_starting(server):
    """Refuse what the service cannot work with; leave systemd to the workers, and with the terminal."""
    supervisor.take_over()
    check_gunicorn(server.cfg, settings)
    check_worker_count(server, settings)
    wait_for_addresses(server)
    guard_reload(server)
    leave_with_terminal(server)


def nworkers_changed(server, new_value, old_value):
    """Start no more workers, on a reload or a signal, than the service can have, and miss no more."""
    limit_workers(server, settings, old_value)
    expect_workers(server)


def pre_fork(server, worker):
    """Give the worker its slot, by which session ids name it, and what it must know of the others."""
    assign_slot(server, worker)
    tell_if_awaited(server, worker)
    share_metrics(server, worker)
    keep_listening(server, settings)


def post_fork(server, worker):
    """Tell the worker how many there are."""
    tell_worker_count(server)


def child_exit(server, worker):
    """Let the slot of the worker be taken again."""
    release_slots(server)
    forget_gauges(server, worker)


def on_exit(server):
    """Leave nothing behind."""
    stop_listening(server)
    remove_metrics(server)
{% if cookiecutter.existing_app %}


def worker_exit(server, worker):
    """Leave on time, although threads of the app may run for ever."""
    leave_threads_behind(worker.log)
{% endif %}
