"""How big, how fast, how good is it?

``complexity.py`` counts parameters and FLOPs. ``papers.py`` has the published counts as data, and
``compare.py`` puts ours beside them. ``speed.py`` times training and prediction. ``zoo.py`` makes
the model zoo from metafiles, with ``zoo_picture.py``.
"""
