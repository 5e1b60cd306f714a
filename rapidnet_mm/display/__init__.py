"""How is it shown? Images, drawings, curves, results and tables, without torch and MM.

``images.py`` reads, finds and names image files. ``drawing.py`` paints label maps and legends.
``curves.py`` draws the course of a training. ``results.py`` holds what a model says of an image.
``tables.py`` prints tables.
"""
