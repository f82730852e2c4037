"""gunicorn settings for flask_app and django_site: the app is loaded once and forked, each worker has its client."""

preload_app = True
workers = 2
worker_class = "gthread"
threads = 8
#: A worker that is stuck for longer is killed; one of the class "sync" also when a request takes longer. So it is more
#: than a request may take, which is the client's timeout and the patience of the examples together.
timeout = 60
#: After SIGTERM requests under way may take this long. Charges go on: they belong to the driver, not to the worker.
graceful_timeout = 50
