"""The operations as coroutines: arguments in, checked before anything is sent, :class:`ApiResponse` out."""
