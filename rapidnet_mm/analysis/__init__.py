"""How big, how fast, how good is it?

Read in this order: ``complexity.py`` counts the parameters and FLOPs of a model that ``network.py``
runs. ``papers.py`` and ``latencies.py`` have the published numbers as data, ``row.py`` says what a
published number is, and ``compare.py`` compares ours with them. ``speed/`` times predictions and
trainings. ``summary.py`` says what a training does, before it starts and at its end. ``report/``
makes the page about a training that is over. ``browse.py`` shows the images that a model sees.
``doctor/`` finds what is wrong or odd. ``zoo/`` makes the model zoo from metafiles.
``receptive_field.py`` computes how far backbones look. ``channel_search/`` repeats the search of
ReXNet's appendix, and ``kernels.py`` draws VGNet's depthwise kernels.

FLOPs are multiply-adds everywhere here.

Example:
    >>> from torch import nn
    >>> from rapidnet_mm.analysis.complexity import measure
    >>> measure(nn.Conv2d(3, 8, kernel_size=3, padding=1), (4, 4)).modules['']
    Count(params=224, learnable=224, flops=3456)
"""
