package e2e

import (
	taskqueue "go.temporal.io/api/taskqueue/v1"
)

func taskQueue(name string) *taskqueue.TaskQueue { return &taskqueue.TaskQueue{Name: name} }

// nopLogger drops what the SDK says.
type nopLogger struct{}

func (nopLogger) Debug(string, ...any) {}
func (nopLogger) Info(string, ...any)  {}
func (nopLogger) Warn(string, ...any)  {}
func (nopLogger) Error(string, ...any) {}
