"""One book of sessions for all routers: what a router tells the others of its sessions, and takes from them."""
