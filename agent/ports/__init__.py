"""What the agent needs of the world: small capabilities, each one to four methods."""
