"""Cycles → states of components, by the registered champions: in the stream one by one, in a batch folder by folder."""
