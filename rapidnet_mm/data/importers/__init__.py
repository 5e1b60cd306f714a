"""Import data of other formats, convert between formats, and divide a data set.

Read in this order:

- ``dataset.py``: ``dataset.json``, which describes an imported data set
- ``samples.py``: the common form in memory that all formats are read into
- ``detect.py``: finds out which format a folder has
- ``formats/``: one file a format; each reads and writes it
- ``split.py``, ``similar.py``: divide images into train and val; like images stay together
- ``run.py``: ``import_data`` and ``export_data``, which the commands call
- ``geometry.py``, ``folders.py``, ``parse.py``: polygons and masks; images; json, xml, yaml

Example:
    >>> from rapidnet_mm.data.importers.run import import_data
    >>> dataset = import_data(['photos/'], 'data/photos')  # finds out the format
    >>> dataset.classes
    ('apple', 'pear')
"""
