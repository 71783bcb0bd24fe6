"""Who calls the steps, and when. `local`: one process, APScheduler. Both engines call the same steps of `sync`."""
