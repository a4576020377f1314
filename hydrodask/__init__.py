"""hydrodask: streaming anomaly platform for hydraulic test rigs, on Dask and Kafka.

The map, in the order in which a record meets the rooms:

records, channels, reports   what moves: records and rows, the 17 sensors, what workers tell people (read first)
ingest      the outside world → Messages: reader, publisher, recording, rig simulator, embedded broker, topics
decode      Messages → samples, rejects
window      samples → sliding windows, cycle profiles
detect      window rows → anomalies, incidents, health
store       rows → stored rows: lake (Parquet), documents (SQLite, MongoDB), topics (transactions)
learn       cycles, labels → registered models, states of components: features, training, registry, scoring
stream      assignment → reports: streamz nodes, partition, snapshot, step, coordinator, placement
audit       what is stored → findings: verify; and mending it: backfill, compact, dead letters
observe     reports → people: metrics, live terminal view, Dask dashboard page, status
cli         arguments → exit code: one small module a command; `platform` puts a run together
settings    configuration: typed, layered, checked once
services    real servers on this machine, for those who have no cluster
doctor      checks of everything that a run needs
doors       who may come in at our ports, and how we come in at those of others: keys, logins, guards of web servers
clock, errors, kafka, rigs, keys, blobs, background, kernels, durable, redaction   below all: time, errors by what to
            do, Kafka clients, names as numbers, who is there, bytes as columns, calls that nobody waits for, compiled
            functions, names that stay, what may not be shown
release     below all, too: which sources these are
failpoints  below all, too: places at which a process can be made to die

`flows/` beside this package holds the graphs themselves. Imports go one way:
cli → flows, audit → stream → stages → records.
"""
