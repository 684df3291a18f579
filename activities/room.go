package activities

import (
	"context"
	"sync"

	"go.temporal.io/sdk/worker"
)

// Room is how many builds may run at once in a worker: those that begin in a workflow's task, and those that come as
// activities. It is the worker.SlotSupplier of the latter. It is safe for concurrent use.
//
// An activity's place is taken before the server is asked for work, and cannot be given to another while that is under way.
// Few places are therefore kept for asking, so that most are there for what begins here; they are never given to that, so
// that activities get their turn too.
type Room struct {
	size, asking int

	mu    sync.Mutex
	used  int           // by builds that run
	asked int           // by questions for work that are under way; at most asking
	freed chan struct{} // closed and replaced when a place is free again
}

// NewRoom makes room for so many builds at once, one at least.
func NewRoom(size int) *Room {
	size = max(1, size)
	return &Room{size: size, asking: max(1, size/4), freed: make(chan struct{})}
}

// take takes a place for what begins here, where there is one.
func (r *Room) take() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used+r.asking >= r.size {
		return false
	}
	r.used++
	return true
}

// give gives such a place back.
func (r *Room) give() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used--
	r.wake()
}

// wake lets who waits for a place look again.
func (r *Room) wake() {
	close(r.freed)
	r.freed = make(chan struct{})
}

// place is what the permit of an activity says.
type place struct{ used bool }

// try gives a permit, or else what is closed when another look may help.
func (r *Room) try() (*worker.SlotPermit, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked >= r.asking || r.used+r.asked >= r.size {
		return nil, r.freed
	}
	r.asked++
	return &worker.SlotPermit{UserData: &place{}}, nil
}

// ReserveSlot implements worker.SlotSupplier.
func (r *Room) ReserveSlot(ctx context.Context, _ worker.SlotReservationInfo) (*worker.SlotPermit, error) {
	for {
		p, freed := r.try()
		if p != nil {
			return p, nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// TryReserveSlot implements worker.SlotSupplier.
func (r *Room) TryReserveSlot(worker.SlotReservationInfo) *worker.SlotPermit {
	p, _ := r.try()
	return p
}

// MarkSlotUsed implements worker.SlotSupplier.
func (r *Room) MarkSlotUsed(info worker.SlotMarkUsedInfo) { r.use(info.Permit()) }

func (r *Room) use(p *worker.SlotPermit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := p.UserData.(*place); ok && !at.used {
		at.used = true
		r.asked--
		r.used++
		r.wake() // there may be room for another question
	}
}

// ReleaseSlot implements worker.SlotSupplier.
func (r *Room) ReleaseSlot(info worker.SlotReleaseInfo) { r.release(info.Permit()) }

func (r *Room) release(p *worker.SlotPermit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := p.UserData.(*place); ok && at.used {
		r.used--
	} else {
		r.asked--
	}
	r.wake()
}

// MaxSlots implements worker.SlotSupplier.
func (r *Room) MaxSlots() int { return r.size }
