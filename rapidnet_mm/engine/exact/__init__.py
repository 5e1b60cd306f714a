"""Why is a resumed training equal to the bit to one that was never stopped?

``draws.py`` gives every drawn image random numbers of its own, so that augmentation does not depend
on the data loader's workers. ``states.py`` keeps the random states of the processes, and
``loops.py`` the place in the data. :class:`ResumeHook` puts both into every checkpoint that a
training can go on from, and back.
"""
