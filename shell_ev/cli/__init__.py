"""The command line ``shell-ev``, on the public API. The modules of the commands are imported on use.

Only this package imports click, rich, python-dotenv, platformdirs and keyring. ``main.COMMANDS`` lists the commands.
"""
