"""How do I use a trained model?

``inferencer.py`` runs a model on images. ``fuse.py`` makes the inference form of a model, with
fewer layers and the same outputs. ``onednn.py`` makes its convolutions quicker on a CPU.
"""
