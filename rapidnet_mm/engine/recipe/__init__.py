"""What settings fit my data and my machine? What ``rapidnet new`` decides, and why.

Read in this order:

- ``statistics.py``: measures an imported data set: sizes, objects, classes
- ``models.py``: the config that a new one stands on, by task and ``--model``
- ``choices.py``: one function for each setting; it returns the value and its reason
- ``anchors.py``: anchors that fit the boxes
- ``trial.py``: tries a few steps, to measure memory and time
- ``recipe.py``: makes all choices for a data set
- ``text.py``: writes the config; every number has its reason in a comment
- ``new.py``: imports the data and does all of the above

Example:
    >>> machine = Machine('cpu', cores=2, memory=8e9)
    >>> iterations('boxes', 200, 2, 0.3, machine, from_scratch=True).value
    1000
"""
