package activities

import (
	"context"
	"errors"

	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/internal/version"
	"slipway/inventory"
	"slipway/models"
	"slipway/workflows"
)

// tag points a tag at a release, with the rights of what the pipeline acts as. It is done at once, and once: the step ends
// in the transaction that moves the tag.
func (s *stepper) tag(ctx context.Context, st models.PipelineStep, run *workflows.StepRun) error {
	application := st.Namespace + "/" + st.Application
	query := st.TagTaggedVersion
	if st.TagVersion != "tagged-version" {
		made, err := s.madeHere(ctx)
		if err != nil {
			return err
		}
		list := made.versions(application)
		switch {
		case len(list) == 0 && made.idle:
			return s.ended(ctx, s.Store, run, workflows.Outcome{Status: models.StatusSkipped, Reason: "no build had anything to do, so there is nothing to tag"})
		case len(list) == 0:
			return problem.New(problem.NotFound, "this pipeline has neither built nor deployed a release of %s", application)
		case st.TagVersion == "last-version-in-pipeline":
			query = list[len(list)-1]
		default:
			query, _ = version.Max(list)
		}
	}
	id, err := release.ParseID(application + ":" + query)
	if err != nil {
		return problem.Wrap(problem.Unprocessable, err, "%s", err.Error())
	}
	by, err := s.subject(ctx)
	if err != nil {
		return err
	}
	return s.Store.Tx(ctx, func(tx *models.Store) error {
		in := *s.Inventory
		in.Store = tx
		tagged, err := inventory.ForExecution{Service: &in, Policy: s.Policy, Subject: *by, ExecutionID: s.e.ID}.TagRelease(ctx, id, st.Tag)
		if errors.Is(err, models.ErrNotFound) {
			return problem.New(problem.NotFound, "there is no release %s to tag", id)
		}
		if err != nil {
			return err
		}
		return s.ended(ctx, tx, run, workflows.Outcome{Status: models.StatusOK, Reason: "tagged " + tagged.String() + " as " + st.Tag})
	})
}
