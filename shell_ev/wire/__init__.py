"""Requests and answers on the wire, as pure functions: nothing here does I/O."""
