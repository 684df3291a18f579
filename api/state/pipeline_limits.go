package state

import "slipway/models"

// limits checks the time limit of a step, and what a phase that cleans up may hold. The time limit of a confirmation is
// checked with the confirmation.
func (c *phaseCheck) limits(ph models.PipelinePhase, step models.PipelineStep) error {
	if ph.RunAlways && step.Type == models.StepConfirmation {
		return c.bad("type", "a phase with run_always cleans up after a failure or a cancellation, and cannot wait for a person")
	}
	if step.TimeLimit == "" || step.Type == models.StepConfirmation {
		return nil
	}
	switch {
	case step.Type == models.StepWebhook, step.Type == models.StepTagRelease:
		return c.bad("time_limit", "steps of type %s take none", step.Type)
	case step.Type == models.StepPipeline && !step.WaitForPipeline:
		return c.bad("time_limit", "only a step with wait_for_pipeline has a time limit: the others do not wait")
	}
	if _, err := models.ParseTimeLimit(step.TimeLimit); err != nil {
		return c.bad("time_limit", "%s", err.Error())
	}
	return nil
}
