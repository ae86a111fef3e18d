"""Where it happens: the agent on a host. It knows the agent protocol and an engine, neither store nor control."""
