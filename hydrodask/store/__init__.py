"""Store rows, each kind in the way its store does best.

Takes rows, gives stored rows: files by put-if-absent (`files`, `lake`), documents by upsert with a revision guard
(`documents`), topics by transaction (`topics`). Loses nothing: what a store refuses is kept and tried again.
"""
