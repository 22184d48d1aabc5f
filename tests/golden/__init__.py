"""Golden records: the bytes that Hooklog has written, and the objects that they are."""
