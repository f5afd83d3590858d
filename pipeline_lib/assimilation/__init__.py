"""Data assimilation in torch: ensemble filters and smoothers, variational methods; batched over runs."""
