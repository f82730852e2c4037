"""What travels: which operation goes where, and how bodies are read. Pure functions; nothing here does I/O."""
