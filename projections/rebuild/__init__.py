"""Makes every table again from Kafka, beside those that are read, and exchanges them."""
