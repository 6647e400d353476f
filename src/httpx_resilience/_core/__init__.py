"""The half that decides: no clock, no randomness, no I/O, standard library only.

Time (``now``) and chance (``rand``) are arguments. ``flow.call_flow`` is the way a request goes;
everything else here is an ordinary function or a small object that it calls.
"""
