"""Python programs that answer what the reference implementation does. Nothing here is needed to run stillmotion."""
