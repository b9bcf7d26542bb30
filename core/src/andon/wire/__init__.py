"""What goes over the network: protocols as pure functions, and the one module that sends."""
