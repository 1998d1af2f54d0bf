"""The worker process, which keeps torch and the models loaded; used by panel, batch and other programs."""
