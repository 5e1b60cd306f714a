"""Where is a model good, where is it wrong, and how sure are the numbers?

``rapidnet report WORK_DIR ...`` writes one folder that opens in a browser, without a network.

Read in this order: ``work_dir.py`` finds config and checkpoint of a training. ``record.py`` keeps
what a test predicts, and ``predict.py`` runs that test. ``detection.py``, ``semantic.py`` and
``classes.py`` turn predictions into the sections of one task, with the help of ``matches.py``,
``intervals.py``, ``errors.py``, ``confusion.py``, ``calibration.py`` and ``examples.py``.
``curves.py`` and ``facts.py`` are for all tasks. ``page.py`` makes HTML of the sections, with the
charts of ``charts.py``, and ``build.py`` puts everything together.

Example:
    >>> from rapidnet_mm.analysis.report.page import number
    >>> number(0.37663), number(float('nan'))
    ('0.377', '–')
"""
