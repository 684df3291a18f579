package activities

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
)

// What begins here and what comes as an activity share one number of places, and neither keeps the other out.
func TestRoomIsShared(t *testing.T) {
	r := NewRoom(4)
	idle := r.TryReserveSlot(nil)
	require.NotNil(t, idle)
	require.Nil(t, r.TryReserveSlot(nil), "one question at a time")
	for range 3 {
		require.True(t, r.take())
	}
	require.False(t, r.take(), "the last place is the question's")
	r.use(idle)
	require.Nil(t, r.TryReserveSlot(nil), "all are used")
	got := make(chan *worker.SlotPermit, 1)
	go func() {
		p, err := r.ReserveSlot(t.Context(), nil)
		if err == nil {
			got <- p
		}
	}()
	r.give()
	next := <-got
	require.False(t, r.take(), "the free place went to the question")
	r.release(next)
	require.False(t, r.take(), "and stays there")
	r.release(idle)
	require.True(t, r.take())
	require.Equal(t, 4, r.MaxSlots())
}

// With room for one there is none for what begins here: all come as activities, one at a time.
func TestRoomForOne(t *testing.T) {
	r := NewRoom(1)
	require.False(t, r.take())
	p := r.TryReserveSlot(nil)
	require.NotNil(t, p)
	r.use(p)
	require.Nil(t, r.TryReserveSlot(nil))
	r.release(p)
	require.NotNil(t, r.TryReserveSlot(nil))
}
