"""Runs the examples of docstrings."""

import doctest

import torch


def run_examples(thing, names):
    """Run the examples of one docstring with torch and ``names``; return how many there were."""
    (test,) = doctest.DocTestFinder(recurse=False).find(thing, globs={'torch': torch, **names})
    report = []
    failed, count = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not failed, ''.join(report)
    return count
