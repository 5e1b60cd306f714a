"""How do I use a trained model?

``inferencer.py`` runs a model on images. ``fuse.py`` makes the inference form of a model, which has
fewer layers and the same outputs; ``fuse_graph.py`` finds the layers to fold and ``fuse_layers.py``
computes the new ones. ``onednn.py`` makes convolutions quicker on a CPU.

Example:
    >>> from rapidnet_mm import to_inference
    >>> from rapidnet_mm.backbones import RapidNet
    >>> model = to_inference(RapidNet('ti').eval())
    >>> dict(model.fusion.folded)['layer scale'] > 0
    True
"""
