"""One file a format. Each has ``read(source)`` and ``write(collection, folder)``."""
