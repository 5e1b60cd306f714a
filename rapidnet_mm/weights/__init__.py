"""Where do weights come from, and how do they get into a model?

Read the files in the order in which a checkpoint passes through them:

1. ``locate``, with the table in ``known``: a name, a file or a URL becomes a file here. ``hub`` and
   ``download`` fetch what is not here yet.
2. ``read``: a file becomes a dict, the content. No code of the file runs.
3. ``content``: what is in it, weights and names of classes.
4. ``translate``, with the tables in ``names``: published names become ours.
5. ``load``: the tensors go into a backbone or a whole model. One log line says which ones.

``contract`` lists what the loading asks a backbone. ``initializer`` is MMEngine's
``init_cfg=dict(type='Pretrained')`` for other backbones. ``release`` writes files.

Published names become ours by a table for each family. The head of a classifier is dropped on
purpose, but ``head`` keeps it for a model that has one:

    >>> import torch
    >>> from rapidnet_mm.weights.translate import to_ours
    >>> published = {
    ...     'stem.stem.0.weight': torch.zeros(16, 3, 3, 3),
    ...     'backbone.0.0.dws.pw1.weight': torch.zeros(64, 32, 1, 1),
    ...     'head.weight': torch.zeros(1000, 224),
    ... }
    >>> weights = to_ours(published)
    >>> weights.family
    'RapidNet'
    >>> list(weights.state)
    ['stem.0.conv.weight', 'stages.0.0.mixer.branch.expand.conv.weight']
    >>> weights.dropped
    ['head.weight']
    >>> [name for name, tensor in weights.head.values()]
    ['head.classifier.label.weight']

Then names and shapes are compared with the model:

    >>> from rapidnet_mm.weights.load import coverage_of
    >>> model = torch.nn.Linear(2, 1)
    >>> print(coverage_of(model, {'weight': torch.zeros(1, 2), 'total_ops': torch.zeros(1)}))
    1 of 2 tensors loaded, 1 missing (bias), 1 unused (total_ops)

A tensor that is missing or has another shape is an error. Layers that are in the file but not in
the backbone are an error too: the file is of another variant. Both can be allowed for a backbone
(``allow_partial=True`` in ``init_cfg``). Other tensors without a place, such as counters of tools,
are only listed as unused.
"""

import mmengine  # noqa: F401  first: what install() does then finds nothing half imported here
