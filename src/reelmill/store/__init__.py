"""The store: SQL, the only truth about jobs.

A query is a synchronous function over one transaction, ``insert_jobs(tx, ...)``. A `Store` decides where it runs:
``await store.write(lambda tx: insert_jobs(tx, ...))`` returns after the durable commit.
"""
