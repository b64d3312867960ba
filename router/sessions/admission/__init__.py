"""Which session may go to which worker, for how long others wait, and which session makes room for them."""
