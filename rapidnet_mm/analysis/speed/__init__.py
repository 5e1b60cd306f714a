"""How fast does it train and predict?

``timing.py`` times several functions in turns. ``prediction.py`` uses it for the variants of a
model, ``several.py`` for several models, ``training.py`` for training steps and ``graph.py`` for
MobileViG's graph. ``inference_form.py`` is a hook: a test runs in the inference form, and both
forms are timed.

Example:
    >>> from rapidnet_mm.analysis.speed.timing import in_turns
    >>> [len(seconds) for seconds in in_turns([list, dict], rounds=3)]
    [3, 3]
"""
