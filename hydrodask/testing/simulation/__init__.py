"""A platform in a world of its own: virtual time, a fake Kafka, disk and document store, and all that goes wrong.

Takes flows and records, gives what is delivered whatever happens: processes die or stand still anywhere, calls are
refused or their answers lost, workers and drivers come and go. `hydrodask.testing.simulate` is the way in. A seed
always tells the same story. Needs the extra `testing`.

world          virtual time, processes that can die anywhere, one thread
course         what goes wrong in a life, drawn from a seed
fakelogs, fakefetcher, fakebroker   Kafka: logs and transactions, and the clients that the engine gets
fakestores     a disk that forgets what was not synced, documents with revisions
fakes          all of these, and the engine among them
fakecluster, actors, simulated      workers and drivers, and a whole life
randomlives    many lives of one flow, compared with one without faults
"""
