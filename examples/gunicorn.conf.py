"""gunicorn settings for flask_app and django_site: the app is loaded once and forked, each worker has its client."""

preload_app = True
workers = 2
worker_class = "gthread"
threads = 8
#: A worker that is silent for longer is killed, in the middle of a start too. Longer than any request takes, which is
#: the client's timeout and the patience of the examples together.
timeout = 60
#: After SIGTERM requests under way may take this long. Charges go on: they belong to the driver, not to the worker.
graceful_timeout = 50
