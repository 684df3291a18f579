package client

import (
	"context"
	"net/http"
)

// Build makes releases from a repository, in an environment.
type Build struct {
	Name   string `json:"name"`
	Repo   string `json:"repo"`
	Branch string `json:"branch,omitempty"`
	// PrivateKey is never read back. An update changes it only with UpdatePrivateKey.
	PrivateKey       string      `json:"private_key,omitempty"`
	UpdatePrivateKey bool        `json:"update_private_key,omitempty"`
	Disabled         bool        `json:"disabled,omitempty"`
	Steps            []BuildStep `json:"steps,omitempty"`
	StepsFromYML     bool        `json:"steps_from_yml,omitempty"`
}

// BuildStep makes one release: the plan, and what is done with it. Switches that are false are not done.
type BuildStep struct {
	PlanLocation       string            `json:"plan_location"`
	BuildOnFileChanges []string          `json:"build_on_file_changes,omitempty"`
	IgnoreFileChanges  []string          `json:"ignore_file_changes,omitempty"`
	OverrideNamespace  string            `json:"override_namespace,omitempty"`
	RunBuild           bool              `json:"run_build"`
	RunTests           bool              `json:"run_tests"`
	RunDestroyBuild    bool              `json:"run_destroy_build,omitempty"`
	RunDeploy          bool              `json:"run_deploy,omitempty"`
	RunSmoke           bool              `json:"run_smoke,omitempty"`
	RunDestroyDeploy   bool              `json:"run_destroy_deploy,omitempty"`
	RunDestroy         bool              `json:"run_destroy,omitempty"`
	CacheRelease       bool              `json:"cache_release,omitempty"`
	PushRelease        bool              `json:"push_release"`
	FatPackage         bool              `json:"fat_package,omitempty"`
	ForceOverwrite     bool              `json:"force_overwrite,omitempty"`
	SkipIfExists       bool              `json:"skip_if_exists,omitempty"`
	TagGit             bool              `json:"tag_git,omitempty"`
	Variables          map[string]string `json:"variables,omitempty"`
	Providers          map[string]string `json:"providers,omitempty"`
}

// AddBuild adds a build to an environment.
func (c *Client) AddBuild(ctx context.Context, project, environment string, build Build) error {
	return c.call(ctx, http.MethodPost, path("/api/v1/state/%s/environments/%s/builds/", project, environment), build, nil)
}

// TriggerBuild starts a build and returns its execution.
func (c *Client) TriggerBuild(ctx context.Context, project, environment, build string) (Ref, error) {
	ref := BuildRef(project, environment, build, "")
	return c.trigger(ctx, path("/api/v1/state/%s/environments/%s/builds/by-name/%s/trigger-build", project, environment, build), ref)
}
