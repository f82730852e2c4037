"""The operations as coroutines. Arguments are checked before anything is sent."""
