"""URLs as they may be shown."""

import re


def redacted(url: str) -> str:
    """Return `url` without user and password; other text stays as it is.

    >>> redacted("mongodb://u:p@db:27017/x"), redacted("hydrodask-data/lake")
    ('mongodb://***@db:27017/x', 'hydrodask-data/lake')
    """
    return re.sub(r"//[^/]*@", "//***@", url)
