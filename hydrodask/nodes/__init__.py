"""The words that flows are written in: nodes that take and give batches of columns or rows.

Takes Messages, gives samples, windows, documents and records of our topics; what goes out waits in the `context` for
the commit. `sensors` has the nodes of monitor, `judging` those of alert and labels, `scoring` those of score.
"""
