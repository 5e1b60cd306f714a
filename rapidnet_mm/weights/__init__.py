"""Where do weights come from, and how do they get into a model?

A file goes through the modules in this order:

1. ``download``: a URL becomes a file in the cache.
2. ``read``: a file becomes a dict of tensors; no code of the file runs.
3. ``names`` and ``translate``: published names become ours, by tables of names.
4. ``load``: the tensors go into a backbone or a whole model, and one line says which did.

``initializer`` is MMEngine's ``init_cfg=dict(type='Pretrained')``; ``release`` writes files.
"""

import mmengine  # noqa: F401  first: what install() does then finds nothing half imported here
