package engine

import (
	"context"
	"errors"
	"fmt"

	"slipway/internal/plan"
	"slipway/internal/release"
)

// Reason says what kind of thing went wrong in a run.
type Reason string

const (
	ReasonPlan      Reason = "plan"      // the plan is missing or wrong
	ReasonScript    Reason = "script"    // a script ended with another code than 0, or could not run to its end
	ReasonMissing   Reason = "missing"   // a script, a package or a deployment is not there
	ReasonInput     Reason = "input"     // an input is missing or wrong
	ReasonOutput    Reason = "output"    // a script put out what it should not, or not what it should
	ReasonProvider  Reason = "provider"  // a provider is missing, ambiguous or not deployed
	ReasonPackage   Reason = "package"   // a package is not sound
	ReasonExists    Reason = "exists"    // the release is already in the inventory
	ReasonCancelled Reason = "cancelled" // the run's context was cancelled
	ReasonInternal  Reason = "internal"  // the inventory, the state or the disk failed
)

// Failure is the error of a run. Message is a sentence for the person who started it, without secrets.
type Failure struct {
	Reason  Reason
	Message string
	// ExitCode is the code of the script that ended with another one than 0.
	ExitCode int
	Err      error // the cause, if there is one
}

func (f *Failure) Error() string { return f.Message }

func (f *Failure) Unwrap() error { return f.Err }

func failf(reason Reason, format string, args ...any) error {
	return &Failure{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// asFailure makes a Failure of any error.
func asFailure(err error) *Failure {
	var failure *Failure
	var planError *plan.Error
	var invalid *release.InvalidError
	switch {
	case errors.As(err, &failure):
		return failure
	case errors.Is(err, context.Canceled):
		return &Failure{Reason: ReasonCancelled, Message: "the run was cancelled", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Failure{Reason: ReasonCancelled, Message: "the run took too long", Err: err}
	case errors.As(err, &planError):
		return &Failure{Reason: ReasonPlan, Message: planError.Error(), Err: err}
	case errors.As(err, &invalid):
		return &Failure{Reason: ReasonPackage, Message: err.Error(), Err: err}
	}
	return &Failure{Reason: ReasonInternal, Message: err.Error(), Err: err}
}
