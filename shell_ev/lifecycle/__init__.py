"""The charge above the endpoints: start once, follow, stop, whatever happens. Knows no HTTP."""
