package activities

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/models"
	"slipway/workflows"
)

// One attempt at an execution runs here at a time, and no more than there is room for.
func TestHereRunsEachExecutionOnce(t *testing.T) {
	h := NewHere("builds@here", 2, slog.New(slog.DiscardHandler))
	release := make(chan struct{})
	runs := 0
	run := func(context.Context, pulse) (workflows.Outcome, error) {
		runs++
		<-release
		return workflows.Outcome{Status: models.StatusOK, Ended: true}, nil
	}
	one := h.begin(t.Context(), "one", run)
	require.Same(t, one, h.begin(t.Context(), "one", run), "the server gives the same work out again")
	require.Nil(t, h.begin(t.Context(), "two", run), "there is no room")
	close(release)
	<-one.done
	require.True(t, one.out.Ended)
	// The room is free before anybody learns of the end.
	two := h.begin(t.Context(), "two", run)
	require.NotNil(t, two)
	<-two.done
	require.Equal(t, 2, runs)
}

// R1: a build that panics fails like any other, and takes nothing down with it.
func TestR1ABuildThatPanics(t *testing.T) {
	var said bytes.Buffer
	h := NewHere("builds@here", 2, slog.New(slog.NewTextHandler(&said, nil)))
	panics := func(context.Context, pulse) (workflows.Outcome, error) { panic("the ground opens") }
	one := h.begin(t.Context(), "one", panics)
	<-one.done
	require.ErrorContains(t, one.err, "panic")
	require.NotContains(t, one.err.Error(), "the ground opens", "what it was about may be secret")
	require.Contains(t, said.String(), "the ground opens")
	require.Contains(t, said.String(), "TestR1ABuildThatPanics", "the stack")
	// There is room again, and the next attempt is a new one.
	two := h.begin(t.Context(), "one", panics)
	require.NotSame(t, one, two)
	<-two.done
}

// R12: a worker that stops begins nothing more.
func TestR12HereStops(t *testing.T) {
	h := NewHere("builds@here", 3, slog.New(slog.DiscardHandler))
	running := h.begin(t.Context(), "one", func(ctx context.Context, _ pulse) (workflows.Outcome, error) {
		<-ctx.Done()
		return workflows.Outcome{}, context.Cause(ctx)
	})
	h.Stop()
	h.Stop() // a second time says the same
	require.Nil(t, h.begin(t.Context(), "two", nil))
	running.stop(errStopped)
	<-running.done
	require.ErrorIs(t, running.err, errStopped)
}

// The end of an attempt that somebody was sent for is kept for them.
func TestHereKeepsTheEndForWhoAsks(t *testing.T) {
	h := NewHere("builds@here", 2, slog.New(slog.DiscardHandler))
	release := make(chan struct{})
	b := h.begin(t.Context(), "one", func(context.Context, pulse) (workflows.Outcome, error) {
		<-release
		return workflows.Outcome{}, errors.New("it could not go on")
	})
	require.Equal(t, workflows.Outcome{Host: "builds@here"}, h.hand(b))
	close(release)
	<-b.done
	require.Same(t, b, h.find("one"))
}

// The limit of a day holds for what began here too.
func TestHereEndsWhatRunsTooLong(t *testing.T) {
	h := NewHere("builds@here", 2, slog.New(slog.DiscardHandler))
	b := h.begin(t.Context(), "one", func(ctx context.Context, _ pulse) (workflows.Outcome, error) {
		<-ctx.Done()
		return workflows.Outcome{}, context.Cause(ctx)
	})
	_, err := b.wait(t.Context(), time.Now().Add(2*endingTime))
	require.ErrorIs(t, err, context.DeadlineExceeded, "of which the attempt makes that it ran longer than its limit")
}

// R1: whoever has to follow has as long to come as the server waits for them, and an attempt is given up well before the
// server, which counts from the dispatch, gives it to another worker.
func TestR1HandOverHasItsTime(t *testing.T) {
	require.GreaterOrEqual(t, unfollowedLease, waitHere+workflows.FollowStart)
	require.GreaterOrEqual(t, workflows.FollowStart, 2500*time.Millisecond)
	require.GreaterOrEqual(t, workflows.LocalTaskTimeout-unfollowedLease, 1500*time.Millisecond)
}

// R1: what nobody has followed is given up a lease after its work came here, not after it began: the server has counted
// since, while it waited in this worker.
func TestR1TheLeaseCountsFromTheWorkItself(t *testing.T) {
	a := &Scripts{}
	causes := make(chan error, 1)
	kill := func(cause error) { causes <- cause }
	began := time.Now()
	stop := a.heartbeat(t.Context(), nil, kill, pulse{since: began.Add(-unfollowedLease), follow: make(chan []byte)})
	defer stop()
	require.ErrorIs(t, <-causes, errGivenUp)
	require.Less(t, time.Since(began), heartbeatEvery)
}
