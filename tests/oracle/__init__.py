"""The oracle: a sender, a receiver and a reader with their own books, which know nothing of the product's code.

What it says of a run is therefore a second opinion: `verdict` compares what was sent, what arrived, what the streams
hold and what ClickHouse tells. It speaks HTTP and Kafka only, as a stranger would.
"""
