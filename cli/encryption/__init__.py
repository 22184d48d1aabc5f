"""`hooklog encryption`: which keys seal the secrets at rest, and how they are changed."""
