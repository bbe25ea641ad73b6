"""What happened to every call: records, numbers, logs, alerts and the audit trail.

`CallRecord` is the one description of a finished call; everything else here reads it. Nothing in this
folder raises into a caller or needs a server, an SDK or a network: what fails is dropped and counted.
"""
