"""The one place that names the version; the build, the user agent and the package read it here."""

__version__ = "0.2.0"
