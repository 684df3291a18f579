package models

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
)

// runTokenPrefix begins the tokens of executions.
const runTokenPrefix = TokenPrefix + "run_"

// runTokenPlace is what the ids in the tokens of executions are sealed for.
const runTokenPlace = "run_tokens"

// IsRunToken says whether a secret says that it is the token of an execution.
func IsRunToken(secret string) bool { return strings.HasPrefix(secret, runTokenPrefix) }

// RunToken gives the token with which the scripts of an execution may write its log, and do nothing else, for as long as it
// is open. There is no row of it: it is the execution's id, sealed, so that none is written for every execution, few of
// whose scripts ever use it.
func (s *Store) RunToken(executionID string) (string, error) {
	sealed, err := s.seal([]byte(executionID), runTokenPlace)
	return runTokenPrefix + base64.RawURLEncoding.EncodeToString(sealed), err
}

// ExecutionOfRunToken gives the id of the execution that a token is of. ErrNotFound is for what RunToken did not make, ErrFinal
// for the token of an execution that has ended.
func (s *Store) ExecutionOfRunToken(ctx context.Context, secret string) (string, error) {
	text, ok := strings.CutPrefix(secret, runTokenPrefix)
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(sealed) == 0 {
		return "", ErrNotFound
	}
	id, err := s.unseal(sealed, runTokenPlace)
	if errors.Is(err, ErrNoKey) {
		return "", err
	}
	if err != nil {
		return "", ErrNotFound
	}
	e, err := s.ExecutionByID(ctx, string(id))
	if err != nil {
		return "", err
	}
	if e.Status.Final() {
		return "", ErrFinal
	}
	return e.ID, nil
}
