"""The model zoo: counts in the metafiles, one page, and pictures of accuracy against FLOPs.

The authors' results are in the metafiles in ``configs/``, the published counts in :mod:`..papers`.
Read in this order: :mod:`.metafiles` (their content), :mod:`.update` (our counts, and outdated
files), :mod:`.page` and :mod:`.pictures`.
"""
