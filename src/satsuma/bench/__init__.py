"""Measuring: workloads, the machine's ceiling, and the report."""
