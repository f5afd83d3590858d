"""Data assimilation in torch: ensemble filters and smoothers, variational methods, twins; batched over runs."""
