// Package telemetry sets up what a process tells about itself: structured logs and traces.
package telemetry

import (
	"io"
	"log/slog"
)

// NewLogger makes the process's logger. level is debug, info, warn or error; format text or json.
func NewLogger(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
