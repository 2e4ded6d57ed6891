"""Videos to data/frames/<video>.h5: frames sampled by time, cropped, resized, as JPEG."""
