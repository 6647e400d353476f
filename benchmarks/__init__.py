"""What httpx-resilience costs, and what it gains, side by side with its peers.

``python -m benchmarks [NAME ...]``; the peers come with the extra ``bench``. Nothing here is a
test: figures depend on the machine, so contenders take turns and ratios are given beside them.
"""
