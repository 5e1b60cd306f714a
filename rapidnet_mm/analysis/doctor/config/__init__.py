"""What is wrong or odd in a config?

``quick.py`` calls everything that reads no images and takes less than a second: ``keys.py`` (what
nobody reads), ``rates.py`` (learning rate and start), ``length.py`` (schedule, validation,
checkpoints). ``build.py`` builds the model. ``dry_step.py`` makes one step of a training.
"""
