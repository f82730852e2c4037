"""The engine: one request loop, the transport under it, tokens, deadlines, and the loop thread for blocking code."""
