"""What is wrong with my data, and what can I use before I have any?

- ``checks``: are the data sets of a config as a training needs them?
- ``shapes``: a small built-in data set, drawn by a program.
- ``fetch``: published data sets, downloaded to where the configs look.

Example:
    >>> from rapidnet_mm.data.checks.check_config import check_data
    >>> from rapidnet_mm.data.shapes.make import make_shapes
    >>> make_shapes('data/shapes')
    >>> check_data(rapidnet_mm.load_config('configs/maskrcnn_rapidnet_ti_shapes.py'))

Importing this room needs neither torch nor the MM packages. A check of a whole data set does: the
classes of the MM packages know best which files they use.
"""
