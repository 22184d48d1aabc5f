"""`hooklog demo`: a whole gateway in half a minute, with books that must agree with its own."""
