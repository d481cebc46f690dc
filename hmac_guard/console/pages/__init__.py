"""The pages of the console: functions of a `Context`."""
