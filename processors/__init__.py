"""The Faust workers: config, dispatch, deliver and delay. `agents.py` is the map."""
