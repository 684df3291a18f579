package models

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Deadlock is an execution that waits for its place for ever, with the way round as its reason.
type Deadlock struct{ ExecutionID, Reason string }

// waiter is an execution that waits for a place, as a part of others that cannot end before it.
type waiter struct {
	Execution
	above   []string // the executions that it is a part of
	holders []string // those that have the places it waits for
	// cancelled are those above that a cancellation is about to end; see readCancellations.
	cancelled map[string]bool
}

// cancelReaches is how long a cancellation may take to end what waits for a place, which runs nothing that would have to end
// before it. What waits for longer is part of a clean-up, whatever the clocks of two hosts say about what came first.
const cancelReaches = time.Minute

// readCancellations notes which of those above w are about to end because somebody has cancelled them or what they are a
// part of, and says whether w is. What a pipeline begins after it was cancelled cleans up: only somebody who cancels again
// ends that, which no row tells. So a cancellation counts for what was there when it came.
func (w *waiter) readCancellations(known map[string]Execution, now time.Time) bool {
	w.cancelled = map[string]bool{}
	var since *time.Time // the first cancellation in force, from the top downwards
	for _, up := range slices.Backward(w.above) {
		e := known[up]
		if since != nil && e.CreatedAt.After(*since) {
			since = nil
		}
		if at := e.CancelRequestedAt; at != nil && at.After(now.Add(-cancelReaches)) && (since == nil || at.Before(*since)) {
			since = at
		}
		w.cancelled[up] = since != nil
	}
	return since != nil && !w.CreatedAt.After(*since)
}

// FindDeadlock looks for executions that wait for each other: each waits for a place that its build, job or pipeline allows,
// and whoever has such a place has a part that waits in the same way. It gives the youngest of such a ring, nil where
// there is none. It reads in several queries: what it gives must be seen twice before anything is ended over it.
//
// An execution is stuck where everybody who has one of the places cannot end before something that is stuck. That is the
// greatest such set: all that waits is taken for stuck, and what is found to go on is taken out until nothing changes. What
// a time limit ends does not wait for ever either.
func (s *Store) FindDeadlock(ctx context.Context) (*Deadlock, error) {
	stuck, known, err := s.waiters(ctx)
	if err != nil {
		return nil, err
	}
	removeMoving(stuck)
	// Snapshots are large: they are read only where something waits for ever but for its limits.
	if err := s.removeEnding(ctx, stuck, known); err != nil {
		return nil, err
	}
	removeMoving(stuck)
	if len(stuck) == 0 {
		return nil, nil
	}
	name := func(id string) string {
		e := known[id]
		return fmt.Sprintf("%s '%s' #%d", kindName(e.Kind), e.SubjectName, e.Number)
	}
	ids := slices.Sorted(maps.Keys(stuck))
	partOf := func(holder string) string {
		return ids[slices.IndexFunc(ids, func(id string) bool { return slices.Contains(stuck[id].above, holder) })]
	}
	// The way from any of them ends in a ring. What leads there goes on when one in the ring has given way.
	var ring []string
	id := ids[0]
	for ; !slices.Contains(ring, id); id = partOf(stuck[id].holders[0]) {
		ring = append(ring, id)
	}
	ring = ring[slices.Index(ring, id):]
	youngest := slices.Index(ring, slices.Max(ring))
	ring = slices.Concat(ring[youngest:], ring[:youngest])
	var way []string
	for _, id := range ring {
		holder := stuck[id].holders[0]
		way = append(way, fmt.Sprintf("%s waits for the place of %s, of which %s is a part", name(id), name(holder), name(partOf(holder))))
	}
	return &Deadlock{ExecutionID: ring[0], Reason: "it would wait for ever: " + strings.Join(way, "; ")}, nil
}

// removeMoving takes out what goes on: one of those that have the places has no part that is stuck. It changes nothing where
// that has been done.
func removeMoving(stuck map[string]*waiter) {
	parts := map[string]int{} // how many that are stuck an execution has as its parts
	count := func(w *waiter, by int) {
		for _, id := range w.above {
			parts[id] += by
		}
	}
	for _, w := range stuck {
		count(w, 1)
	}
	for changed := true; changed; {
		changed = false
		for id, w := range stuck {
			if slices.ContainsFunc(w.holders, func(h string) bool { return parts[h] == 0 }) {
				delete(stuck, id)
				count(w, -1)
				changed = true
			}
		}
	}
}

// removeEnding takes out what ends when the time limit of something above it has passed. The execution's own limit does
// not count yet: it waits. Nor do limits above a phase that runs in any case: where the phase cleans up, the limit is over
// or does not end it, and whether it does is not to be seen in the rows. To end one that a limit would have ended is better
// than to let it wait for ever.
//
// It also takes out what a pipeline began after it was cancelled and not to clean up: it has not heard of that yet.
func (s *Store) removeEnding(ctx context.Context, stuck map[string]*waiter, known map[string]Execution) error {
	var above []string
	for _, w := range stuck {
		above = append(above, w.above...)
	}
	if len(above) == 0 {
		return nil
	}
	slices.Sort(above)
	snapshots, err := all[Execution](s.reader(ctx).Select("id", "definition").Where("id IN ? AND kind = ?", slices.Compact(above), KindPipeline))
	if err != nil {
		return err
	}
	definitions := map[string]PipelineDefinition{}
	for _, e := range snapshots {
		var d PipelineDefinition
		if err := e.DefinitionInto(&d); err != nil {
			return fmt.Errorf("execution %s: %w", e.ID, err)
		}
		definitions[e.ID] = d
	}
	for id, w := range stuck {
		part := w.Execution
		for _, up := range w.above {
			d := definitions[up]
			if slices.Contains(d.CleanUp(), part.ParentPhase) {
				break
			}
			if d.Limits.TimeLimit > 0 || w.cancelled[up] {
				delete(stuck, id)
				break
			}
			part = known[up]
		}
	}
	return nil
}

// waiters are the executions that wait for a place while they are parts of others, without those that a cancellation
// ends, by id; and all that have to do with them, by id.
func (s *Store) waiters(ctx context.Context) (map[string]*waiter, map[string]Execution, error) {
	const columns = "id, kind, subject_id, subject_name, number, parent_id, parent_phase, created_at, cancel_requested_at"
	var list []Execution
	if err := s.reader(ctx).Raw(`SELECT `+columns+` FROM executions WHERE parent_id <> '' AND status IN ? AND cancel_requested_at IS NULL
		AND id IN (SELECT execution_id FROM deployment_locks WHERE deployment = '' AND granted_at IS NULL)`, openStatuses).Scan(&list).Error; err != nil || len(list) == 0 {
		return nil, nil, err
	}
	found := map[string]*waiter{}
	known := map[string]Execution{}
	var subjects, missing []string
	for _, e := range list {
		found[e.ID], known[e.ID] = &waiter{Execution: e}, e
		subjects, missing = append(subjects, e.SubjectID), append(missing, e.ParentID)
	}
	var places []DeploymentLock
	if err := s.reader(ctx).Where("environment_id IN ? AND deployment = '' AND (granted_at IS NOT NULL OR execution_id IN ?)", subjects, slices.Collect(maps.Keys(found))).Order("ticket").Find(&places).Error; err != nil {
		return nil, nil, err
	}
	holders := map[string][]string{}
	capacity := map[string]int{} // as the ticket of each that waits has it: that is what the queue goes by
	for _, p := range places {
		if p.GrantedAt == nil {
			capacity[p.ExecutionID] = p.Capacity
			continue
		}
		holders[p.EnvironmentID] = append(holders[p.EnvironmentID], p.ExecutionID)
		missing = append(missing, p.ExecutionID)
	}
	for len(missing) > 0 {
		var next []Execution
		if err := s.reader(ctx).Model(&Execution{}).Select(columns).Where("id IN ?", missing).Find(&next).Error; err != nil {
			return nil, nil, err
		}
		missing = nil
		for _, e := range next {
			known[e.ID] = e
		}
		for _, e := range next {
			if _, ok := known[e.ParentID]; !ok && e.ParentID != "" {
				missing = append(missing, e.ParentID)
			}
		}
	}
	for id, w := range found {
		w.holders = holders[w.SubjectID]
		goesOn := capacity[id] == 0 || len(w.holders) < capacity[id] // 0: it has its place by now
		for up := w.ParentID; up != "" && !goesOn; up = known[up].ParentID {
			w.above = append(w.above, up)
			goesOn = known[up].ID == "" || len(w.above) > maxStarters
		}
		// Holders that somebody has cancelled need no look: they wait for what is stuck below them, or for nothing.
		if goesOn || w.readCancellations(known, s.Now()) {
			delete(found, id)
		}
	}
	return found, known, nil
}
