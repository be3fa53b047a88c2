"""The cloud consumer: takes the agents' batches exactly once and answers what is where."""
