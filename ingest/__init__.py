"""The write side over HTTP: takes events in, and takes orders about the configuration."""
