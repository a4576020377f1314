"""Running statistics, compiled: one sample at a time (Welford 1962), and two parts into one (Chan et al. 1979)."""

from hydrodask.kernels import njit


@njit(cache=True, inline="always")
def add(value, count, mean, m2):  # type: ignore[no-untyped-def]  # numba infers
    """Return (count, mean, m2) with one more value."""
    count += 1
    delta = value - mean
    mean += delta / count
    m2 += delta * (value - mean)
    return count, mean, m2


@njit(cache=True, inline="always")
def merge(count, mean, m2, count_b, mean_b, m2_b):  # type: ignore[no-untyped-def]
    """Return (count, mean, m2) of two parts together; neither is empty."""
    both = count + count_b
    delta = mean_b - mean
    return both, mean + delta * count_b / both, m2 + m2_b + delta * delta * count * count_b / both
