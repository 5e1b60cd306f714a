"""How are results shown? Images, drawings, curves, results and tables, without torch and MM.

``inputs.py`` finds images and videos. ``images.py`` reads and writes image files, ``videos.py``
videos. ``results.py`` holds the result of a model for one image. ``drawing.py`` paints label maps
and legends, ``overlay.py`` draws results at the size of the image, ``sheets.py`` makes contact
sheets. ``curves.py`` draws the course of a training. ``tables.py`` prints tables,
``progress.py`` bars of progress.

Example:
    >>> import numpy as np
    >>> from rapidnet_mm.display.drawing import Panel, compose, legend_of, paint, palette_of
    >>> from rapidnet_mm.display.results import Segmentation
    >>> image = np.zeros((40, 60, 3), np.uint8)
    >>> result = Segmentation(np.ones((40, 60), np.uint8), classes=('sky', 'road'))
    >>> result.names
    ['road']
    >>> palette = palette_of({'classes': result.classes})
    >>> painted = paint(image, result.labels, palette)
    >>> legend = legend_of([result.labels], result.classes, palette)
    >>> compose([Panel('image', image), Panel('result', painted)], legend).shape[2]
    3
"""
