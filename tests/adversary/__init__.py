"""A hostile service of the tests' own, and the tests that run the client against it. Imports nothing of shell_ev."""
