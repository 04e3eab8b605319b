//! Exact sums of gradients in block fixed point. Numbers only.
