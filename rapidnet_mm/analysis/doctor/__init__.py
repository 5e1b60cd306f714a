"""What is wrong or odd, and what to do about it: for ``rapidnet doctor``.

Each patient has a file or a folder: ``environment.py``, ``data/``, ``config/``, ``checkpoint.py``.
Each gives findings; ``finding.py`` says what one is. ``visit.py`` decides what an argument of the
command is, and examines it. ``picture.py`` draws a data set.

Nothing is downloaded, and nothing is written but the picture.
"""
