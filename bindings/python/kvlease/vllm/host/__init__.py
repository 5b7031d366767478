"""The arena as vLLM's CPU tier itself: pages are copied between vLLM's cache and the arena.

    OffloadingConnector -> KvleaseHostSpec -> HostManager (scheduler)   <-> daemon
                                           -> HostWorker (each worker)  <-> arena

The scheduler's process has the leases and the reservations, and names their places to the workers.
These map the arena by its name. Nothing of what vLLM prepared may fail later: that ends the engine.
"""
