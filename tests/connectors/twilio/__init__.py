"""The Twilio connector against its fake, over the wire and through the real SDK."""
