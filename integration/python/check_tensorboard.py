#!/usr/bin/env python3
"""Reads event files with TensorBoard's own reader and prints what it found, as JSON.

    python3 -m venv venv && venv/bin/pip install tensorboard
    venv/bin/python integration/python/check_tensorboard.py DATA_DIR/jobs/ID/tensorboard

Exits with 1 when there is no scalar, or when the steps of a curve do not ascend.
"""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

KEEP_ALL = 0


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} DIRECTORY")
    events = EventAccumulator(sys.argv[1], size_guidance={"scalars": KEEP_ALL, "tensors": KEEP_ALL})
    events.Reload()
    tags = {}
    for tag in sorted(events.Tags()["scalars"]):
        points = events.Scalars(tag)
        steps = [point.step for point in points]
        tags[tag] = {
            "count": len(points),
            "first_step": steps[0],
            "last_step": steps[-1],
            "last_value": points[-1].value,
            "last_wall_time": points[-1].wall_time,
            "steps_ascend": all(one < two for one, two in zip(steps, steps[1:])),
        }
    print(json.dumps({"file_version": events.file_version, "scalars": tags}, indent=2))
    return 0 if tags and all(tag["steps_ascend"] for tag in tags.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
