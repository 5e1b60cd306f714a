"""The built-in data set: scenes of shapes, drawn by a program. Try everything without a download.

Read in this order:

- ``classes.py``: names, ids and colours of the classes
- ``make.py``: writes the data set to a folder; ``rapidnet make-shapes`` calls it
- ``scenes.py``: draws one scene, with masks and polygons

Example:
    >>> from rapidnet_mm.data.shapes.make import make_shapes
    >>> make_shapes('data/shapes', train=200, val=50)
    PosixPath('data/shapes')
"""
