"""The HTTP API. Errors are RFC 9457 problem documents with stable codes."""
