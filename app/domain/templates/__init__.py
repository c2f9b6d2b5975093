"""What is done to a template when it is saved, so that nothing of it is done for each message."""
