"""What tests of checkpoints share."""

from rapidnet_mm.weights.load import fill_model, weights_for


def fill_from(model, content, source='file', require=''):
    """Fill a whole model with what a file holds."""
    return fill_model(model, weights_for(model, content, source), source, require)
