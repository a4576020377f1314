"""What a rig's load cycles usually look like, learned without labels, and which ones do not.

Takes load cycles (means of 60 seconds of 17 sensors) of any number of rigs; gives changes of documents: what is said of
each rig's newest cycle, and an incident while its cycles are unusual. Loses nothing: what was not measured is left out.

`phases.py` a cycle as means of the phases of its load, and which of them a jump of hot oil spoils · `reference.py` what
each phase is at which oil temperature, from the rig's first hours · `judgement.py` how far a cycle is from that, and
where, in words · `trend.py` whether it gets worse, and when that will matter · `watch.py` rigs, states, documents
"""
