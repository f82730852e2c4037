"""The command line ``shell-ev``: the only place that imports click and rich. Knows the public names of the library.

A command is a module of its own, imported when it is called; see ``main.COMMANDS``.
"""
