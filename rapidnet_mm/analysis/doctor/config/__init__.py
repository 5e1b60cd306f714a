"""What is wrong or odd in a config?

``quick.py`` calls everything that reads no images and takes less than a second: ``keys.py`` (what
nobody reads), ``rates.py`` (learning rate and start), ``length.py`` (schedule, validation,
checkpoints). ``dry_step.py`` builds the model, and makes one step of a training.
"""
