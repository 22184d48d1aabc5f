"""Commands that send, receive, and tell what happened."""
