package policies

import "sync"

// maxDecisions is how many decisions one prepared subject remembers.
const maxDecisions = 256

// decisionKey is everything but the subject that a decision depends on.
type decisionKey struct{ action, kind, id, scopes string }

// decisions remembers what was decided about a prepared subject, for as long as that is used: a second at most, since
// callers prepare subjects anew to learn of changed grants. A decision is a function of subject, action, resource and
// policy; one of another policy is forgotten. Programs that poll ask the same thing all the time.
type decisions struct {
	mu     sync.Mutex
	policy *compiled
	known  map[decisionKey]bool
}

// decisions gives the subject's memory, or nil for one that is not prepared.
func (s Subject) decisions() *decisions {
	if !s.isPrepared() {
		return nil
	}
	return &s.prepared.memo
}

func (d *decisions) recall(policy *compiled, key decisionKey) (allowed, known bool) {
	if d == nil {
		return false, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.policy != policy {
		return false, false
	}
	allowed, known = d.known[key]
	return allowed, known
}

func (d *decisions) keep(policy *compiled, key decisionKey, allowed bool) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.policy != policy || len(d.known) >= maxDecisions {
		d.policy, d.known = policy, map[decisionKey]bool{}
	}
	d.known[key] = allowed
}
