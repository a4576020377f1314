"""Decode messages into columns.

Takes Messages, gives Samples and Rejects. Loses nothing: what can't be used is a Reject with its reason.
"""

from hydrodask.decode.census import Census
from hydrodask.decode.decoder import DECODERS, Decoder, DecoderName
from hydrodask.decode.labels import decode_label

__all__ = ["DECODERS", "Census", "Decoder", "DecoderName", "decode_label"]
