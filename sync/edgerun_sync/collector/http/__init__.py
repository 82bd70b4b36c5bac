"""The collector over HTTP: Starlette's application, and the server that runs it."""
