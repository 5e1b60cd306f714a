"""What is wrong with the data of a config? Each fault is one line, before a training starts.

Read in this order:

- ``check_config.py``: goes through a config and calls the checker of each data set
- ``checker.py``: what the checkers of all kinds of data sets have in common
- ``coco.py``, ``label_maps.py``, ``class_folders.py``, ``image_lists.py``: one kind of data each
- ``coco_file.py``, ``coco_objects.py``, ``masks.py``: entries, boxes and masks of COCO annotations
- ``image_files.py``, ``image_formats.py``, ``holes.py``, ``label_files.py``: look into the files
- ``notes.py``: good files are not read again in the next run
- ``sources.py``, ``messages.py``: advice where to get data, and parts of messages

Example:
    >>> from rapidnet_mm.data.checks.check_config import check_data, checker_of
    >>> check_data(cfg)  # raises UserError for the first fault
    >>> checker = checker_of(cfg.train_dataloader.dataset, 'train_dataloader.dataset')
    >>> checker.check()  # this data set only
    >>> checker.class_names()
    ('disc', 'square', 'triangle', 'star', 'cross')
"""
