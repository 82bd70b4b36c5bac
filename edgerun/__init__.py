"""edgerun: an embeddable inference runtime for CPU-only edge devices, with experiments on the device."""
