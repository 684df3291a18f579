package models

import "sync/atomic"

var identityVersion atomic.Uint64

// IdentityVersion rises whenever this process has committed a change of identities: users, service accounts, teams,
// tokens, grants, organizations or projects. Caches of subjects and scopes compare it, so that who was given a role can
// use it in his next request. Other processes see such a change when their caches expire.
func IdentityVersion() uint64 { return identityVersion.Load() }

// identityChanged is called by every query here that changes identities.
func (s *Store) identityChanged() { s.AfterCommit(func() { identityVersion.Add(1) }) }

// commitIdentity ends a change: a failed one changed nothing.
func (s *Store) commitIdentity(err error) error {
	if err == nil {
		s.identityChanged()
	}
	return err
}
