"""Commands of the group Operate: control, configuration, diagnosis, database."""
