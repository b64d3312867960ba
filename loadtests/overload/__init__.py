"""What becomes of goodput when more is asked than the fleet can do, and of the light clients next to a heavy one.

*Offered load* is requests sent per second, whatever becomes of them (open loop). *Goodput* is answers per second whose
time to first token met the objective. The *knee* is the offered load with the highest goodput.
"""
