package client

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
)

// What applying a definition does with a thing.
const (
	Added     = "added"
	Changed   = "changed"
	Unchanged = "unchanged"
)

// Change is what applying a definition did with one thing.
type Change struct {
	Action string `json:"action"` // added, changed or unchanged
	// Kind is project, namespace, environment, build, job, pipeline or schedule.
	Kind        string `json:"kind"`
	Environment string `json:"environment,omitempty"` // that a build or a job is in
	Name        string `json:"name"`
	// Members that were changed, by name.
	Members []string `json:"members,omitempty"`
}

// place is where the API has a thing.
type place struct {
	kind, environment, name string
	get, add, put           string
	// only are the members that a PUT takes, where it refuses those that an answer has besides.
	only []string
	// whole reads the thing where its path does not show all of it; nil where it does.
	whole func(ctx context.Context, have map[string]any) error
}

// Apply makes a project what a definition says: what is missing is added, what differs is changed, in the definition's
// order. Nothing is deleted, and members that the definition leaves out stay as they are. With dryRun nothing is written.
// report is told of each thing as it is done; what was done before an error stays.
func (c *Client) Apply(ctx context.Context, d *Definition, dryRun bool, report func(Change)) error {
	apply := func(at place, want map[string]any) error {
		change, err := c.apply(ctx, at, want, dryRun)
		if err != nil {
			return about(err, at)
		}
		report(change)
		return nil
	}
	project := map[string]any{"name": d.Project}
	for name, text := range map[string]string{"description": d.Description, "org_url": d.OrgURL} {
		if text != "" {
			project[name] = text
		}
	}
	state := path("/api/v1/state/%s/", d.Project)
	if err := apply(place{kind: "project", name: d.Project, get: state, add: state + "add-project", put: state}, project); err != nil {
		return err
	}
	for _, name := range d.Namespaces {
		at := place{kind: "namespace", name: name, get: path("/api/v1/inventory/%s/", name), add: state + "add-namespace"}
		if err := apply(at, map[string]any{"name": name, "project": d.Project}); err != nil {
			return err
		}
	}
	for _, e := range d.Environments {
		if err := c.applyEnvironment(d.Project, &e, apply); err != nil {
			return err
		}
	}
	pipelines := path("/api/v1/pipelines/by-project/%s/", d.Project)
	for _, t := range d.Pipelines {
		if err := applyThing(apply, place{kind: "pipeline", get: pipelines + "by-name/", add: pipelines + "add"}, t); err != nil {
			return err
		}
	}
	schedules := path("/api/v1/slipway/projects/%s/schedules/", d.Project)
	for _, t := range d.Schedules {
		at := place{kind: "schedule", get: schedules, add: schedules,
			only: []string{"cron", "time_zone", "overlap", "catch_up_seconds", "jitter_seconds", "paused", "note"}}
		if err := applyThing(apply, at, t); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) applyEnvironment(project string, e *EnvironmentDefinition, apply func(place, map[string]any) error) error {
	environments := path("/api/v1/state/%s/environments/", project)
	at := place{kind: "environment", name: e.Name, add: environments, get: environments + path("%s/", e.Name), put: environments + path("%s/", e.Name)}
	want := map[string]any{"name": e.Name}
	if e.Description != "" {
		want["description"] = e.Description
	}
	if e.Metadata != nil {
		want["metadata"] = e.Metadata
	}
	if e.Inputs != nil {
		want["inputs"] = e.Inputs
		at.whole = func(ctx context.Context, have map[string]any) error {
			full, err := get[map[string]any](ctx, c, at.get+"?full=true")
			have["inputs"] = full.Value["inputs"]
			return err
		}
	}
	if err := apply(at, want); err != nil {
		return err
	}
	builds := at.get + "builds/"
	for _, t := range e.Builds {
		if err := applyThing(apply, place{kind: "build", environment: e.Name, get: builds + "by-name/", add: builds}, t); err != nil {
			return err
		}
	}
	jobs := path("/api/v1/deployment-jobs/by-project/%s/", project)
	for _, t := range e.Jobs {
		t = maps.Clone(t)
		t["environment"] = e.Name
		at := place{kind: "job", environment: e.Name, get: jobs + path("by-environment/%s/", e.Name) + "by-name/", add: jobs + "add"}
		if err := applyThing(apply, at, t); err != nil {
			return err
		}
	}
	return nil
}

// applyThing applies a thing at a place that it is below, under its name.
func applyThing(apply func(place, map[string]any) error, at place, t Thing) error {
	at.name, _ = t["name"].(string)
	at.get += path("%s/", at.name)
	at.put = at.get
	return apply(at, t)
}

// apply makes one thing what it shall be.
func (c *Client) apply(ctx context.Context, at place, thing map[string]any, dryRun bool) (Change, error) {
	change := Change{Kind: at.kind, Environment: at.environment, Name: at.name, Action: Unchanged}
	want, err := plain(thing)
	if err != nil {
		return change, err
	}
	answer, err := get[map[string]any](ctx, c, at.get)
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		change.Action = Added
		if dryRun {
			return change, nil
		}
		return change, c.call(ctx, http.MethodPost, at.add, overlay(nil, want), nil)
	}
	if err != nil {
		return change, err
	}
	have := answer.Value
	if at.put == "" { // nothing to change
		return change, nil
	}
	if at.whole != nil {
		if err := at.whole(ctx, have); err != nil {
			return change, err
		}
	}
	body := overlay(have, want)
	for name := range want {
		if name != "update_private_key" && !sameMember(name, body[name], have[name]) {
			change.Members = append(change.Members, name)
		}
	}
	if len(change.Members) == 0 {
		return change, nil
	}
	slices.Sort(change.Members)
	change.Action = Changed
	if dryRun {
		return change, nil
	}
	maps.DeleteFunc(body, func(name string, _ any) bool {
		return at.only != nil && !slices.Contains(at.only, name) || slices.Contains([]string{"deployments", "environments", "order", "permission"}, name)
	})
	return change, c.call(ctx, http.MethodPut, at.put, body, nil)
}

// about says in an error which thing it is about.
func about(err error, at place) error {
	var refused *Error
	if !errors.As(err, &refused) {
		return err
	}
	text := *refused
	if text.Body == "" {
		text.Body = http.StatusText(text.Status)
	}
	where := ""
	if at.environment != "" {
		where = " in environment '" + at.environment + "'"
	}
	text.Body = at.kind + " '" + at.name + "'" + where + ": " + text.Body
	return &text
}
