"""Settings of the site. Credentials are not among them: the client reads SHELL_EV_* from the environment."""

import os
import secrets

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or secrets.token_urlsafe(50)
DEBUG = False
ALLOWED_HOSTS = os.environ.get("DJANGO_ALLOWED_HOSTS", "127.0.0.1,localhost").split(",")
INSTALLED_APPS = ["django_site.apps.ChargingConfig"]
MIDDLEWARE = ["django_site.views.ShellEVErrors"]
ROOT_URLCONF = "django_site.urls"
WSGI_APPLICATION = "django_site.wsgi.application"
ASGI_APPLICATION = "django_site.asgi.application"
USE_TZ = True

#: Options of the client, beside what SHELL_EV_* says.
SHELL_EV = {
    "store": os.environ.get("SHELL_EV_STORE") or "charges.sqlite3",
    "timeout": 20,
    "user_agent_suffix": "django_site",
}
#: Seconds to look for a charge whose start got no answer, and to see one stop.
CHARGES_PATIENCE = float(os.environ.get("CHARGES_PATIENCE", "20"))
