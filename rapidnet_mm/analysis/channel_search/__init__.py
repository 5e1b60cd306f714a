"""Which channels should the blocks of a small network have? The search of ReXNet's appendix.

Random configurations of channels are drawn under a budget, and each is trained for a short time.
The mean configurations of the best, the middle and the worst tenth are then compared.

Read in this order: ``space.py`` draws configurations and counts what they cost. ``network.py``
builds them, ``images.py`` reads the images, and ``training.py`` trains. ``search.py`` does so for
one configuration after the other and writes down each result. ``picture.py`` compares the tenths.

The training loop is plain PyTorch. It keeps all images in memory and has no hooks, no logs and no
checkpoints, which a training of a minute does not need. MMEngine's runner would be more code here:
a config, a data set and a model class for it, and the start of a runner for each configuration.

Example:
    >>> from rapidnet_mm.analysis.channel_search.space import Space, draw
    >>> [len(draw(Space(blocks=6), seed=0, index=index)) for index in (0, 1)]
    [6, 6]
"""
