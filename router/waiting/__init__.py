"""Requests that wait in the router because every worker that could take them is saturated.

A worker is *saturated* for a request that would wait there longer than the bound, in seconds, before its prefill
begins. A waiting request has a *ticket*; tickets of one client and one model stand in a *lane*. Who gets the *turn*
decides anew, with what is known then (late binding), and either goes or goes on waiting.
"""
