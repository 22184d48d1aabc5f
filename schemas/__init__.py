"""The records that travel through Hooklog, their codecs, their streams and their ids: pure data."""
