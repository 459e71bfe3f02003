"""Exponential moving averages of measured times and ratios."""


def moving_average(mean: float, newest: float, smoothing: float) -> float:
    """The mean updated by one more value; `smoothing`, from 0 to 1, is the weight of the newest value."""
    return mean + smoothing * (newest - mean)


def moving_average_or_first(mean: float, newest: float, smoothing: float) -> float:
    """As `moving_average`, but a mean of 0.0 stands for no value yet: the first value becomes the mean."""
    return newest if mean == 0.0 else moving_average(mean, newest, smoothing)
