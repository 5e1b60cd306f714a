"""The built-in data set: scenes of shapes, drawn from a seed. ``make.py`` writes them to disk."""
