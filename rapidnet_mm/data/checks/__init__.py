"""What is wrong with the data of a config, said in one line before a training starts.

``config.py`` goes through a config and calls the checker of each kind of data set: ``coco.py``,
``label_maps.py`` and ``class_folders.py``. These look into files with ``image_files.py`` and
``label_files.py``. ``sources.py`` says where known data sets can be had.
"""
