"""What training and predicting share: devices, number formats, stored models."""
