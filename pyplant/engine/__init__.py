"""The pure core of the build engine: tasks, traces, the rebuilder and the scheduler."""
