"""A Django site with the blocking client, under WSGI and ASGI alike: one ShellEV per process, kept by the AppConfig.

Run it, with `python -m shell_ev.sandbox` in another terminal:

    SHELL_EV_BASE_URL=http://127.0.0.1:8080 SHELL_EV_CLIENT_ID=sandbox-client SHELL_EV_CLIENT_SECRET=sandbox-secret \\
    gunicorn --chdir examples --config examples/gunicorn.conf.py --bind 127.0.0.1:8000 django_site.wsgi

or, with ASGI, the same with

    SHELL_EV_BASE_URL=http://127.0.0.1:8080 SHELL_EV_CLIENT_ID=sandbox-client SHELL_EV_CLIENT_SECRET=sandbox-secret \\
    uvicorn --app-dir examples --lifespan off --port 8000 django_site.asgi:application
"""
