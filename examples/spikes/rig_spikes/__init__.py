"""Spikes of PS1: a flow of one's own, for hydrodask. `flow.py` wires it, `node.py` computes."""
