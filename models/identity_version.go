package models

import (
	"sync"
	"sync/atomic"
)

var identityVersion atomic.Uint64

// identityChanges is closed and replaced with every change.
var (
	identityMu      sync.Mutex
	identityChanges = make(chan struct{})
)

// IdentityVersion rises whenever this process has committed a change of identities: users, service accounts, teams,
// tokens, grants, organizations or projects. Caches of subjects and scopes compare it, so that who was given a role can
// use it in his next request. Other processes see such a change when their caches expire.
func IdentityVersion() uint64 { return identityVersion.Load() }

// IdentityChanges is closed when IdentityVersion rises the next time, for those who must act on it at once. Ask for it
// before looking at what may change.
func IdentityChanges() <-chan struct{} {
	identityMu.Lock()
	defer identityMu.Unlock()
	return identityChanges
}

func raiseIdentityVersion() {
	identityMu.Lock()
	defer identityMu.Unlock()
	identityVersion.Add(1)
	close(identityChanges)
	identityChanges = make(chan struct{})
}

// identityChanged is called by every query here that changes identities.
func (s *Store) identityChanged() { s.AfterCommit(raiseIdentityVersion) }

// commitIdentity ends a change: a failed one changed nothing.
func (s *Store) commitIdentity(err error) error {
	if err == nil {
		s.identityChanged()
	}
	return err
}
