package activities

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// R12: what runs when a worker stops is asked to end, then killed, and not waited for without an end.
func TestR12WhatRunsIsEnded(t *testing.T) {
	var r Running
	r.End(time.Hour, time.Hour) // nothing runs: nothing to wait for
	r = Running{}
	causes := func() (chan error, context.CancelCauseFunc) {
		c := make(chan error, 1)
		return c, func(err error) { c <- err }
	}
	asked, ask := causes()
	killed, kill := causes()
	over := r.begin(ask, kill)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.End(time.Hour, time.Hour)
	}()
	require.ErrorIs(t, <-asked, errStopped)
	over()
	<-ended // as soon as nothing runs
	require.Empty(t, killed)

	r = Running{}
	defer r.begin(ask, kill)() // it does not end
	r.End(time.Millisecond, time.Millisecond)
	require.ErrorIs(t, <-asked, errStopped)
	require.ErrorIs(t, <-killed, errStopped)
	// What begins afterwards is ended at once.
	defer r.begin(ask, kill)()
	require.ErrorIs(t, <-killed, errStopped)
}
