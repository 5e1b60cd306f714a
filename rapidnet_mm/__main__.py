"""``python -m rapidnet_mm NAME ...`` is the command ``rapidnet NAME ...``."""

from .commands.main import main

if __name__ == '__main__':
    main()
