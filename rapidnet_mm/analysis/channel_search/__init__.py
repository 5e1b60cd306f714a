"""Which channels should the blocks of a small network have? The search of ReXNet's appendix.

Random channel configurations are drawn within budgets, and each is trained for a short time. Then
the mean configurations of the best, the middle and the worst tenth are compared.

Read in this order: ``space.py`` draws configurations and counts their cost. ``network.py`` builds
the networks, ``images.py`` reads the images, and ``training.py`` trains. ``search.py`` trains one
configuration after the other and writes each result. ``picture.py`` compares the tenths.

The training loop is plain PyTorch. It keeps all images in memory and has no hooks, no logs and no
checkpoints, because a training takes a minute. MMEngine's runner would need more code here: a
config, a data set and a model class, and a new runner for each configuration.

Example:
    >>> from rapidnet_mm.analysis.channel_search.space import Space, draw
    >>> [len(draw(Space(blocks=6), seed=0, index=index)) for index in (0, 1)]
    [6, 6]
"""
