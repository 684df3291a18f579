package periodic

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	rounds := 0
	Run(ctx, time.Millisecond, slog.New(slog.NewTextHandler(&out, nil)), "the round failed", func(context.Context) error {
		rounds++
		switch rounds {
		case 1:
			return nil
		case 2:
			return errors.New("boom")
		}
		cancel()
		return ctx.Err()
	})
	require.Equal(t, 3, rounds)
	require.Equal(t, 1, strings.Count(out.String(), "the round failed"), "the end is no failure: %s", out.String())
	require.Contains(t, out.String(), "boom")
}

func TestRunAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	Run(ctx, time.Hour, slog.Default(), "", func(context.Context) error { t.Error("a round ran after the end"); return nil })
}

func TestPause(t *testing.T) {
	require.NoError(t, Pause(t.Context(), time.Nanosecond))
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("it is gone")
	cancel(gone)
	require.Equal(t, gone, Pause(ctx, time.Hour))
}
