"""The charge above the endpoints: start it once, follow it, stop it, find it again."""
