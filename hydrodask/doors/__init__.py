"""Who may come in at the ports that we open, and how we come in at those of others: Dask's, the dashboard's, metrics.

Takes settings, gives logins (TLS both ways, with keys that a run makes for itself and forgets), clusters that are
started here, guards of web servers, and one-line errors for what is wrong with a login. Loses nothing.
"""
