package state

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"slipway/api"
	"slipway/executions"
	"slipway/internal/problem"
	"slipway/internal/release"
	"slipway/models"
	"slipway/policies"
)

// maxSteps is how many steps a pipeline may have in all.
const maxSteps = 5000

// checkPhases finds what is wrong with a pipeline's phases: every thing that a step names must exist, and what the
// pipeline acts as must be allowed to use it. It is checked again when the pipeline runs; here it is for people, who
// want to know while they edit.
func (s *surface) checkPhases(ctx context.Context, pipeline, serviceAccount string, phases []models.PipelinePhase) error {
	c := &phaseCheck{s: s, ctx: ctx, pipeline: pipeline, actor: api.SubjectOf(ctx), projects: map[string]string{}, environments: map[string]string{}}
	if serviceAccount != "" {
		var err error
		if c.actor, err = s.serviceAccount(ctx, serviceAccount, ""); err != nil {
			return err
		}
	}
	steps := 0
	for i, ph := range phases {
		if len(ph.Steps) == 0 {
			return problem.BadField(fmt.Sprintf("phases[%d].steps", i), "a phase needs at least one step")
		}
		for j, step := range ph.Steps {
			if steps++; steps > maxSteps {
				return problem.BadField("phases", "at most %d steps in all", maxSteps)
			}
			c.locate(i, j, step)
			if err := c.limits(ph, step); err != nil {
				return err
			}
			if err := c.step(step); err != nil {
				return err
			}
		}
	}
	return c.ring(phases)
}

type phaseCheck struct {
	s            *surface
	ctx          context.Context
	pipeline     string
	actor        policies.Subject // what the pipeline will act as
	at, name     string           // the step that is looked at
	projects     map[string]string
	environments map[string]string
}

// locate says which step is looked at.
func (c *phaseCheck) locate(phase, number int, step models.PipelineStep) {
	c.at, c.name = fmt.Sprintf("phases[%d].steps[%d]", phase, number), step.Name
}

// bad names the member, and the step as its author called it.
func (c *phaseCheck) bad(member, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if c.name != "" {
		text = fmt.Sprintf("step '%s': %s", c.name, text)
	}
	return problem.BadField(c.at+"."+member, "%s", text)
}

// found turns ErrNotFound into the error for the step.
func (c *phaseCheck) found(err error, member, format string, args ...any) error {
	if errors.Is(err, models.ErrNotFound) {
		return c.bad(member, format, args...)
	}
	return err
}

func (c *phaseCheck) step(step models.PipelineStep) error {
	if step.Type != models.StepConfirmation {
		for member, set := range map[string]bool{"approvals": step.Approvals != 0, "four_eyes": step.FourEyes, "remind_after": step.RemindAfter != ""} {
			if set {
				return c.bad(member, "is for steps of type confirmation")
			}
		}
	}
	if step.TriggerPipelineOnBuild && step.Type != models.StepBuild {
		return c.bad("trigger_pipeline_on_build", "is for steps of type build")
	}
	if step.TriggerPipelineOnDeploy && step.Deployment == "" {
		return c.bad("trigger_pipeline_on_deploy", "is for steps that name a deployment")
	}
	switch step.Type {
	case models.StepBuild:
		return c.build(step)
	case models.StepDeploy, models.StepSmoke, models.StepDestroy, models.StepErrand:
		return c.deployment(step)
	case models.StepConfirmation:
		return c.confirmation(step)
	case models.StepPipeline:
		return c.trigger(step)
	case models.StepWebhook:
		u, err := url.Parse(step.WebhookURL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return c.bad("webhook_url", "expected an http or https URL")
		}
		_, err = c.project(step)
		return err
	case models.StepTagRelease:
		return c.tag(step)
	}
	return nil
}

// project gives the id of the project that a step works in, where the pipeline may do so.
func (c *phaseCheck) project(step models.PipelineStep) (string, error) {
	own := projectID(c.ctx)
	if step.Project == "" {
		return own, nil
	}
	action := executions.StepAction(step.Type)
	if id, ok := c.projects[action+" "+step.Project]; ok {
		return id, nil
	}
	p, err := c.s.Scopes.Project(c.ctx, step.Project)
	if err != nil {
		return "", c.found(err, "project", "there is no project '%s' that the pipeline may use", step.Project)
	}
	if p.ID != own {
		ok, err := c.s.Policy.Allow(c.ctx, c.actor, action, policies.Resource{Kind: "project", Scopes: p.Scopes})
		if err != nil {
			return "", err
		}
		if !ok {
			return "", c.bad("project", "there is no project '%s' that the pipeline may use", step.Project)
		}
	}
	c.projects[action+" "+step.Project] = p.ID
	return p.ID, nil
}

func (c *phaseCheck) environment(step models.PipelineStep, member, name string) (string, error) {
	project, err := c.project(step)
	if err != nil {
		return "", err
	}
	if name == "" {
		return "", c.bad(member, "is required")
	}
	key := project + "/" + name
	if id, ok := c.environments[key]; ok {
		return id, nil
	}
	e, err := c.s.Store.EnvironmentByName(c.ctx, project, name)
	if err != nil {
		return "", c.found(err, member, "there is no environment '%s'", name)
	}
	c.environments[key] = e.ID
	return e.ID, nil
}

func (c *phaseCheck) build(step models.PipelineStep) error {
	environment, err := c.environment(step, "environment", step.Environment)
	if err != nil {
		return err
	}
	if step.Build == "" {
		return c.bad("build", "is required")
	}
	_, err = c.s.Store.BuildByName(c.ctx, environment, step.Build)
	return c.found(err, "build", "there is no build '%s' in the environment '%s'", step.Build, step.Environment)
}

func (c *phaseCheck) deployment(step models.PipelineStep) error {
	environment, err := c.environment(step, "environment", step.Environment)
	if err != nil {
		return err
	}
	if step.Deployment == "" {
		return c.bad("deployment", "is required")
	}
	if _, err := c.s.Store.DeploymentJobByName(c.ctx, environment, step.Deployment); err != nil {
		return c.found(err, "deployment", "there is no deployment job '%s' in the environment '%s'", step.Deployment, step.Environment)
	}
	if step.Type == models.StepErrand && step.ErrandName == "" {
		return c.bad("errand_name", "is required")
	}
	switch step.UpdateVersion {
	case "version-from-deployment-job":
		from := step.UpdateVersionEnvironment
		if from == "" {
			from = step.Environment
		}
		other, err := c.environment(step, "update_version_environment", from)
		if err != nil {
			return err
		}
		if step.UpdateVersionDeployment == "" {
			return c.bad("update_version_deployment", "is required")
		}
		_, err = c.s.Store.DeploymentJobByName(c.ctx, other, step.UpdateVersionDeployment)
		return c.found(err, "update_version_deployment", "there is no deployment job '%s' in the environment '%s'", step.UpdateVersionDeployment, from)
	case "tagged-version":
		if step.Tag == "" && step.TagTaggedVersion == "" {
			return c.bad("tag_tagged_version", "is required: the tag to deploy")
		}
	}
	return nil
}

// minRemind keeps reminders from being a nuisance.
const minRemind = 5 * time.Minute

func (c *phaseCheck) confirmation(step models.PipelineStep) error {
	if d, err := models.ParseTimeLimit(step.RemindAfter); err != nil || d > 0 && d < minRemind {
		return c.bad("remind_after", "expected a time from %s to %s, as in 30m or 24h", models.ShowDuration(minRemind), models.ShowDuration(models.MaxTimeLimit))
	}
	if _, err := models.ParseTimeLimit(step.TimeLimit); err != nil {
		return c.bad("time_limit", "%s", err.Error())
	}
	if step.Approvals > 1 && step.User != "" && step.Team == "" {
		return c.bad("approvals", "%d different people cannot approve where only the user '%s' may", step.Approvals, step.User)
	}
	if step.User != "" {
		u, err := c.s.Store.UserByName(c.ctx, step.User)
		if err != nil {
			return c.found(err, "user", "there is no user '%s'", step.User)
		}
		if u.Disabled {
			return c.bad("user", "the user '%s' is disabled", step.User)
		}
	}
	if step.Team != "" {
		org, err := c.s.Store.OrganizationByCanonical(c.ctx, models.DefaultOrganization)
		if err != nil {
			return err
		}
		_, err = c.s.Store.TeamByName(c.ctx, org.ID, step.Team)
		return c.found(err, "team", "there is no team '%s'", step.Team)
	}
	return nil
}

// trigger checks a step that starts another pipeline. That they make no ring is checked when all steps are known.
func (c *phaseCheck) trigger(step models.PipelineStep) error {
	project, err := c.project(step)
	if err != nil {
		return err
	}
	if step.Pipeline == "" {
		return c.bad("pipeline", "is required")
	}
	if project == projectID(c.ctx) && step.Pipeline == c.pipeline {
		return c.bad("pipeline", "a pipeline cannot trigger itself")
	}
	_, err = c.s.Store.PipelineByName(c.ctx, project, step.Pipeline)
	return c.found(err, "pipeline", "there is no pipeline '%s'", step.Pipeline)
}

func (c *phaseCheck) tag(step models.PipelineStep) error {
	if _, err := c.project(step); err != nil {
		return err
	}
	if err := release.ValidateNamespace(step.Namespace); err != nil {
		return c.bad("namespace", "%s", err.Error())
	}
	if err := release.ValidateName(step.Application); err != nil {
		return c.bad("application", "%s", err.Error())
	}
	if !release.ValidTag(step.Tag) {
		return c.bad("tag", "expected a tag: letters, digits, - and _, not readable as a version")
	}
	if step.TagVersion == "tagged-version" && !release.ValidTag(step.TagTaggedVersion) {
		return c.bad("tag_tagged_version", "is required: the tag that the version has now")
	}
	return nil
}
