"""Where do published data sets come from? Addresses, checksums, licences, and their layout.

``sources.py`` is the table. ``run.py`` fetches what it says. ``coco_subset.py`` downloads single
images of COCO, ``imagenet.py`` lays out the files that people download by hand.
"""
