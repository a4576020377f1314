"""Tell people of what is wrong: once a cause, until somebody answers, and when it is over.

Takes episodes, answers and what is drifting or unknown (`conditions`); gives messages to channels: webhooks, mail,
commands, Alertmanager. `dues` says what is due to whom: pure, time is an argument; `routes` and `text` are, too.
`notifier` is the thread beside a run that looks, keeps and sends; `senders` are the only modules that talk to others.
Loses nothing that was due: what waits is kept in the collection `messages` before it is sent, so a message comes at
least once, always with the same id, also after a kill; what can't be delivered for `notify.give_up` is given up, and
said so.
"""
