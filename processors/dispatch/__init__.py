"""The dispatch agent: joins events with subscriptions and makes deliveries."""
