"""The read side: everything that happened, as tables, and the questions to them."""
