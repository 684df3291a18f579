package testenv

import (
	"context"
	"slices"
	"sync"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
)

// Schedules stands for the schedules of a Temporal server, for tests that need none: it keeps what it is told. The zero
// value is empty and there.
type Schedules struct {
	client.ScheduleClient
	mu   sync.Mutex
	away bool
	byID map[string]*client.Schedule
	memo map[string]*common.Memo
}

// SetAway makes every call fail as if the server were away, or not any more.
func (s *Schedules) SetAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// Get gives a schedule, or nil.
func (s *Schedules) Get(id string) *client.Schedule {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// Set puts a schedule there, or with nil takes it away, behind the back of whoever keeps it.
func (s *Schedules) Set(id string, c *client.Schedule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[string]*client.Schedule{}
	}
	if c == nil {
		delete(s.byID, id)
		delete(s.memo, id)
	} else {
		s.byID[id] = c
	}
}

func (s *Schedules) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return serviceerror.NewUnavailable("away")
	}
	return nil
}

// SetMemo puts a memo at a schedule, as Create does.
func (s *Schedules) SetMemo(id string, memo map[string]any) error {
	m := &common.Memo{Fields: map[string]*common.Payload{}}
	for name, value := range memo {
		p, err := converter.GetDefaultDataConverter().ToPayload(value)
		if err != nil {
			return err
		}
		m.Fields[name] = p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.memo == nil {
		s.memo = map[string]*common.Memo{}
	}
	s.memo[id] = m
	return nil
}

// Create implements client.ScheduleClient.
func (s *Schedules) Create(ctx context.Context, o client.ScheduleOptions) (client.ScheduleHandle, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	if s.Get(o.ID) != nil {
		return nil, temporal.ErrScheduleAlreadyRunning
	}
	s.Set(o.ID, &client.Schedule{Action: o.Action, Spec: &o.Spec, Policy: &client.SchedulePolicies{Overlap: o.Overlap, CatchupWindow: o.CatchupWindow},
		State: &client.ScheduleState{Paused: o.Paused, Note: o.Note}})
	return s.GetHandle(ctx, o.ID), s.SetMemo(o.ID, o.Memo)
}

// GetHandle implements client.ScheduleClient.
func (s *Schedules) GetHandle(_ context.Context, id string) client.ScheduleHandle {
	return &scheduleHandle{s: s, id: id}
}

// List implements client.ScheduleClient.
func (s *Schedules) List(context.Context, client.ScheduleListOptions) (client.ScheduleListIterator, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var l scheduleList
	for id, c := range s.byID {
		l = append(l, &client.ScheduleListEntry{ID: id, Paused: c.State.Paused, Note: c.State.Note, Memo: s.memo[id]})
	}
	slices.SortFunc(l, func(a, b *client.ScheduleListEntry) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return &l, nil
}

type scheduleList []*client.ScheduleListEntry

func (l *scheduleList) HasNext() bool { return len(*l) > 0 }

func (l *scheduleList) Next() (*client.ScheduleListEntry, error) {
	e := (*l)[0]
	*l = (*l)[1:]
	return e, nil
}

type scheduleHandle struct {
	client.ScheduleHandle
	s  *Schedules
	id string
}

func (h *scheduleHandle) GetID() string { return h.id }

func (h *scheduleHandle) found() (*client.Schedule, error) {
	if err := h.s.fault(); err != nil {
		return nil, err
	}
	c := h.s.Get(h.id)
	if c == nil {
		return nil, serviceerror.NewNotFound("no such schedule")
	}
	return c, nil
}

func (h *scheduleHandle) Update(_ context.Context, o client.ScheduleUpdateOptions) error {
	c, err := h.found()
	if err != nil {
		return err
	}
	u, err := o.DoUpdate(client.ScheduleUpdateInput{Description: client.ScheduleDescription{Schedule: *c}})
	if err != nil {
		return err
	}
	h.s.Set(h.id, u.Schedule)
	return nil
}

func (h *scheduleHandle) Delete(context.Context) error {
	if _, err := h.found(); err != nil {
		return err
	}
	h.s.Set(h.id, nil)
	return nil
}
