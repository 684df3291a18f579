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
	// Status is that of the newest execution; read only.
	Status string `json:"status,omitempty"`
}

// Builds lists the builds that the caller may see, by project, environment and name; of one project where one is named.
func (c *Client) Builds(ctx context.Context, project ...string) (Answer[map[string]map[string]map[string]Build], error) {
	if len(project) == 0 {
		return get[map[string]map[string]map[string]Build](ctx, c, "/api/v1/builds/")
	}
	one, err := get[map[string]map[string]Build](ctx, c, path("/api/v1/state/%s/builds/", project[0]))
	return Answer[map[string]map[string]map[string]Build]{Value: map[string]map[string]map[string]Build{project[0]: one.Value}, JSON: one.JSON}, err
}

// BuildOverrides say what one execution builds instead of the tip of the build's branch.
type BuildOverrides struct {
	Branch string `json:"branch,omitempty"`
	Commit string `json:"commit,omitempty"`
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
	return c.TriggerBuildOf(ctx, project, environment, build, BuildOverrides{})
}

// TriggerBuildOf is TriggerBuild for another branch or commit.
func (c *Client) TriggerBuildOf(ctx context.Context, project, environment, build string, what BuildOverrides) (Ref, error) {
	ref := BuildRef(project, environment, build, "")
	var body any
	if what != (BuildOverrides{}) {
		body = what
	}
	return c.trigger(ctx, path("/api/v1/state/%s/environments/%s/builds/by-name/%s/trigger-build", project, environment, build), body, ref)
}
