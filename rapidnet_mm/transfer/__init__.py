"""How do files come from the net, and out of archives? Without torch and MM.

``download.py`` fetches a file whole or not at all, and goes on with what broke off. ``archives.py``
unpacks zip and tar files safely. Both show progress.

Example:
    >>> from rapidnet_mm.transfer.archives import gigabytes
    >>> gigabytes(19_336_861_798)
    '19.3 GB'
"""
