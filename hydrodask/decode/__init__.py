"""Decode messages into columns.

Takes Messages, gives Samples and Rejects. Loses nothing: what can't be used is a Reject with its reason.
"""

from hydrodask.decode.decoder import Decoder

__all__ = ["Decoder"]
