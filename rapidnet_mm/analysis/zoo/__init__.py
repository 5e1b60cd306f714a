"""The model zoo: counts in the metafiles, one page, and pictures of accuracy against FLOPs.

Authors' results are in the metafiles of ``configs/``, published counts in :mod:`..papers`. Read
:mod:`.metafiles` (what is in them), :mod:`.update` (our counts, and files that are out of date),
:mod:`.page` and :mod:`.pictures`.
"""
