"""Load and truth: an emulated engine, the cost benchmark against other routers, the check of exact ids,
and the demo.

Ships with the product and imports the router's parts; the router never imports it.
"""
