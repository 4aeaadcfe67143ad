"""What is stored and sent: plain frozen data, encoded as JSON by msgspec. Nothing here does anything."""
