"""What is wrong or odd in the data of a config?

``samples.py`` reads the annotations of all kinds of data sets into one form. ``boxes.py`` looks at
objects, ``classes.py`` at the number of objects of each class, ``labels.py`` at label maps,
``images.py`` at pixels, and ``twins.py`` for the same image in several places. ``examine.py`` calls
all of them, after the checks that a training does anyway.
"""
