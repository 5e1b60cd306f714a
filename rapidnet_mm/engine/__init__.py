"""What does a training do? From a config file to a runner that trains and measures.

Read in this order: ``config.py`` (reads a config), ``own_data.py`` (fills in what depends on an
imported data set), ``options.py`` (changes from the command line),
``runner.py`` (checks, builds and runs), then ``hooks/`` (what happens during a training) and
``metrics/`` (how results are measured). ``console.py`` decides what reaches the screen.
``schedules.py`` has the learning rates that MMEngine lacks, ``schedule_check.py`` names those that
do not fit. ``device.py``, ``cpu.py``, ``amp.py``, ``mmcv_ops.py`` and ``fit.py`` fit a run to the
machine. ``recipe/`` chooses the settings for a data set and writes them as a config.

Example:
    >>> cfg = load_config('configs/maskrcnn_rapidnet_m_coco.py')
    >>> build_runner(cfg).train()
"""

import mmengine  # noqa: F401  first: what install() does then finds nothing half imported here
