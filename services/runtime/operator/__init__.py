"""An operator's commands: their messages, and the channel that posts them to risk."""
