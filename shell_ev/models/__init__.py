"""Models of what the service answers: immutable attrs classes by subject. They know nothing of the wire."""
