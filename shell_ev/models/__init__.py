"""Models of what the service answers: immutable attrs classes by subject."""
